"""What can be examined in a run, in the order in which to do it.

An examination measures one thing, says whether it differs from a healthy run's, and draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from aimv2_lab.fields import unknown_name
from aimv2_lab.lessons.bugs import findings, stored_curves
from aimv2_lab.lessons.bugs.faults import find_fault
from aimv2_lab.lessons.bugs.parity import PARITY_LIMIT, STATIONS, parity
from aimv2_lab.lessons.bugs.phantoms import BLANK_PIXEL, BLANK_TEXT, CLINIC, HEALTHY
from aimv2_lab.lessons.model_leaks import allowed_in_model
from aimv2_lab.report import clinic_figures as figures
from aimv2_lab.report.prefix_figures import draw_model_leaks


class Examination(NamedTuple):
    """`measure(fault name)` is called with the fault applied; `differs` and `draw` take what it returns."""

    question: str
    measure: Callable[[str], Any]
    differs: Callable[[Any], bool]
    draw: Callable[[Any], Figure]


def examined(fault: str, examination: str) -> Any:
    """What an examination measures under a fault, or `HEALTHY`; measured once."""
    if examination not in EXAMINATIONS:
        raise unknown_name("examination", examination, list(EXAMINATIONS))
    return _examined(fault, examination)


@cache
def _examined(fault: str, examination: str) -> Any:
    with nullcontext() if fault == HEALTHY else find_fault(fault).applied():
        return EXAMINATIONS[examination].measure(fault)


def healthy(examination: str) -> Any:
    """What the examination measures without a fault."""
    return examined(HEALTHY, examination)


def shows(fault: str, examination: str) -> bool:
    """Whether the examination differs from a healthy run's."""
    found = examined(fault, examination)
    return EXAMINATIONS[examination].differs(found)


def _first_differs(found: tuple[float, float]) -> bool:
    return any(abs(a - b) > 0.1 * b for a, b in zip(found, healthy("first loss"), strict=True))


def _targets_differ(found: findings.Targets) -> bool:
    right = healthy("targets")
    return not all(torch.equal(a, b) for a, b in zip(found, right, strict=True))


def _values_differ(found: tuple[Tensor, Tensor]) -> bool:
    pairs = zip(found, healthy("pixels"), strict=True)
    return any(abs(a.std() - b.std()) > 0.05 * b.std() or abs(a.mean() - b.mean()) > 0.05 for a, b in pairs)


def _updates_differ(found: findings.Updates) -> bool:
    right = healthy("optimizer")
    drifted = any(abs(found.kept[kind] - kept) > 1e-4 for kind, kept in right.kept.items())
    return drifted or not torch.allclose(found.rates, right.rates, rtol=1e-3)


def _draw_targets(found: findings.Targets) -> Figure:
    return figures.draw_targets(found.compared, found.moved, found.tokens, found.counted, findings.PREFIX)


def _draw_leaks(matrix: Tensor) -> Figure:
    allowed = allowed_in_model(findings.PREFIX, findings.PATCHES, len(findings.TOKENS))
    return draw_model_leaks(matrix, allowed, findings.PATCHES, findings.PREFIX)


# In the order in which a sick run is examined: the cheapest look first.
EXAMINATIONS: dict[str, Examination] = {
    "first loss": Examination(
        "Is the loss of the untrained model that of a blank guess?",
        lambda _: findings.first_losses(),
        _first_differs,
        lambda found: figures.draw_first_losses(found, (BLANK_PIXEL, BLANK_TEXT)),
    ),
    "curves": Examination(
        "Do the losses on pictures fall as healthy runs' do?",
        lambda fault: stored_curves.stored_run(fault, "pictures"),
        lambda run: stored_curves.leaves_band(run, "pictures"),
        lambda run: stored_curves.draw(run, "pictures"),
    ),
    "noise": Examination(
        "Do the losses on noise end on their floors?",
        lambda fault: stored_curves.stored_run(fault, "noise"),
        lambda run: stored_curves.leaves_band(run, "noise"),
        lambda run: stored_curves.draw(run, "noise"),
    ),
    "leaks": Examination(
        "Which patches and tokens reach which outputs?",
        lambda _: findings.leaks(),
        lambda matrix: not torch.equal(matrix > 0, healthy("leaks") > 0),
        _draw_leaks,
    ),
    "targets": Examination(
        "What is each output compared with, and what counts?",
        lambda _: findings.targets(),
        _targets_differ,
        _draw_targets,
    ),
    "pixels": Examination(
        "Which values enter the model, and which are to be predicted?",
        lambda _: findings.pixels(),
        _values_differ,
        lambda found: figures.draw_values(*found),
    ),
    "prefixes": Examination(
        "Which prefix lengths does each rank draw?",
        lambda _: findings.prefixes(),
        findings.repeats,
        figures.draw_prefix_lengths,
    ),
    "places": Examination(
        "Does the encoder know where a patch is?",
        lambda _: findings.places(),
        lambda found: bool(found.max() < figures.SAME),
        figures.draw_places,
    ),
    "parity": Examination(
        "Is the encoder the published one, on the same weights?",
        lambda _: parity(),
        lambda found: bool((found > PARITY_LIMIT).any()),
        lambda found: figures.draw_parity(found, STATIONS, PARITY_LIMIT),
    ),
    "optimizer": Examination(
        "Which rate is used, and what shrinks when nothing is learned?",
        lambda _: findings.updates(),
        _updates_differ,
        lambda found: figures.draw_updates(found.rates, found.kept, CLINIC.training.peak_lr),
    ),
}
