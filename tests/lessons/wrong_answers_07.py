"""Plausible wrong answers to the exercises of notebook 07."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aimv2_lab.model.objective import counted_outputs


def parts(*given: Any) -> tuple[Tensor, Tensor]:
    """Sums of what counts."""
    errors, nats, counted, lengths, _, _ = given
    return (errors * counted_outputs(lengths, errors.shape[1] + 1)).sum(), (nats * counted).sum()


def own_counts(*given: Any) -> Tensor:
    (pixel, text), (errors, _, counted, lengths, _, weight) = parts(*given), given
    number = counted_outputs(lengths, errors.shape[1] + 1).sum()
    return text / counted.sum().clamp(min=1) + weight * pixel / number.clamp(min=1)


def everything_in_the_mean(*given: Any) -> Tensor:
    (pixel, text), (errors, nats, *_, weight) = parts(*given), given
    return text / max(nats.numel(), 1) + weight * pixel / errors.numel()


def weight_on_the_text(*given: Any) -> Tensor:
    (pixel, text), (*_, counts, weight) = parts(*given), given
    return weight * text / max(counts.tokens, 1) + pixel / max(counts.patches, 1)


def one_output_short(*given: Any) -> Tensor:
    """Outputs from M on, in place of M - 1."""
    errors, nats, counted, lengths, counts, weight = given
    behind = torch.arange(errors.shape[1]) >= lengths[:, None]
    return (nats * counted).sum() / max(counts.tokens, 1) + weight * (errors * behind).sum() / max(counts.patches, 1)


def prefix_counted(*given: Any) -> Tensor:
    errors, nats, counted, _, counts, weight = given
    return (nats * counted).sum() / max(counts.tokens, 1) + weight * errors.sum() / max(counts.patches, 1)


def padding_counted(*given: Any) -> Tensor:
    (pixel, _), (_, nats, _, _, counts, weight) = parts(*given), given
    return nats.sum() / max(counts.tokens, 1) + weight * pixel / max(counts.patches, 1)


def divides_by_nothing(*given: Any) -> Tensor:
    (pixel, text), (*_, counts, weight) = parts(*given), given
    return text / counts.tokens + weight * pixel / counts.patches


WRONG: dict[str, dict[str, Any]] = {
    "07a": {
        "the share's own counts": own_counts,
        "zeros in the mean": everything_in_the_mean,
        "the weight on the text": weight_on_the_text,
        "from M on": one_output_short,
        "the prefix counted": prefix_counted,
        "padding counted": padding_counted,
        "0 / 0": divides_by_nothing,
    },
    "07b": {"zeros": 431 / 432, "one": 1.0, "deviation added": 1.275, "unit outputs": 2.0, "subtracted": 0.921},
    "07c": {"the end token": "A", "a leak": "C", "the pixel weight": "D"},
    "07d": {
        "upside down": 0.714,
        "untrained": 4.867,
        "of the losses": 2.807,
        "weighed twice": 0.56,
        "the paper's": 0.4,
    },
}
