"""Every cell of the grid is the probe that it would be if it were trained alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aimv2_lab.evaluation.probe import AttentiveProbe, LinearProbe
from aimv2_lab.evaluation.probing.grid import ProbeGrid
from aimv2_lab.evaluation.probing.training import (
    UNLABELLED,
    Batches,
    grid_losses,
    grid_predictions,
    new_grid,
    rate_share,
    train_grid,
)
from aimv2_lab.recipes.probing import PROBES, ProbeKind, ProbeRecipe, probe_recipe

WIDTH, HEADS, CLASSES, STEPS = 8, 2, 3, 4
QUICK = ProbeRecipe(
    learning_rates=(1e-3, 3e-2), weight_decays=(0.0, 0.3), epochs=3, warmup_epochs=1, batch_size=16, gradient_clip=0.05
)


@pytest.fixture(autouse=True)
def in_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def epoch(number: int, kind: ProbeKind = "attentive", tasks: int = 1) -> list[tuple[Tensor, Tensor]]:
    """Four batches of features far from standard, whose labels follow from the first numbers."""
    draws = torch.Generator().manual_seed(number)
    shape = (STEPS, 16, 5, WIDTH) if kind == "attentive" else (STEPS, 16, WIDTH)
    features = 3 * torch.randn(shape, generator=draws) + torch.arange(WIDTH)
    answers = features.flatten(2)[..., :tasks].div(3).round().long() % CLASSES
    return list(zip(features, answers, strict=True))


def trained_alone(recipe: ProbeRecipe, rate: float, decay: float, bias: bool = True) -> AttentiveProbe | LinearProbe:
    """A plain module under torch's own optimizer and clipping, with the schedule written out."""
    torch.manual_seed(5)
    attentive = recipe.kind == "attentive"
    probe = AttentiveProbe(WIDTH, HEADS, CLASSES, bias) if attentive else LinearProbe(WIDTH, CLASSES, bias)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=rate, betas=recipe.betas, weight_decay=decay)
    step = 0
    for number in range(recipe.epochs):
        for features, labels in epoch(number, recipe.kind):
            up, down = rate_share(step, recipe.epochs * STEPS, recipe.warmup_epochs * STEPS)
            optimizer.param_groups[0]["lr"] = rate * up + (recipe.min_lr - rate) * down
            functional.cross_entropy(probe(features), labels[:, 0]).backward()
            torch.nn.utils.clip_grad_norm_(probe.parameters(), recipe.gradient_clip)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    return probe.eval()


@pytest.mark.parametrize("kind", ["attentive", "linear"])
@pytest.mark.parametrize("bias", [True, False])
def test_every_cell_equals_the_plain_probe_trained_alone(kind: ProbeKind, bias: bool) -> None:
    recipe = replace(QUICK, kind=kind, classifier_bias=bias)
    grid = train_grid(
        new_grid(recipe, WIDTH, HEADS, [CLASSES], seed=5), recipe, STEPS, lambda number: epoch(number, kind)
    )
    seen = torch.cat([features for features, _ in epoch(9, kind)])
    found = grid(seen)
    alone = [trained_alone(recipe, rate, decay, bias) for rate, decay in recipe.cells]
    torch.testing.assert_close(found, torch.stack([probe(seen) for probe in alone]), rtol=1e-9, atol=1e-9)
    assert (found[0] - found[1:]).abs().amax(dim=(1, 2)).min() > 1e-3  # the cells have become different probes
    torch.testing.assert_close(grid.norm.state_dict(), alone[0].norm.state_dict())


def test_a_cell_does_not_depend_on_the_other_cells() -> None:
    whole = train_grid(new_grid(QUICK, WIDTH, HEADS, [CLASSES], seed=1), QUICK, STEPS, epoch)
    for cell, (rate, decay) in enumerate(QUICK.cells):
        alone = replace(QUICK, learning_rates=(rate,), weight_decays=(decay,))
        grid = train_grid(new_grid(alone, WIDTH, HEADS, [CLASSES], seed=1), alone, STEPS, epoch)
        for name, weight in grid.weights.items():
            torch.testing.assert_close(weight[0], whole.weights[name][cell], rtol=1e-10, atol=1e-12)


def test_tasks_are_trained_side_by_side_as_if_alone() -> None:
    def first_task(number: int) -> Batches:
        return [(features, labels[:, :1]) for features, labels in epoch(number, tasks=2)]

    def both(number: int) -> Batches:  # the second task has labels for half the pictures, and two classes
        for features, labels in epoch(number, tasks=2):
            second = labels[:, 1].clamp(max=1).masked_fill(torch.arange(16) < 8, UNLABELLED)
            yield features, torch.stack([labels[:, 0], second], dim=1)

    alone = train_grid(new_grid(QUICK, WIDTH, HEADS, [CLASSES], 0), QUICK, STEPS, first_task)
    grid = train_grid(new_grid(QUICK, WIDTH, HEADS, [CLASSES, 2], 0), QUICK, STEPS, both)
    seen = [features for features, _ in epoch(9)]
    torch.testing.assert_close(grid(seen[0])[:4], alone(seen[0]), rtol=1e-9, atol=1e-9)
    assert set(grid_predictions(grid, seen)[4:].flatten().tolist()) == {0, 1}


def test_losses_count_labelled_pictures_alone() -> None:
    scores = torch.randn(2, 4, CLASSES)
    labels = torch.tensor([[0], [1], [UNLABELLED], [2]])
    expected = functional.cross_entropy(scores[1, [0, 1, 3]], torch.tensor([0, 1, 2]))
    torch.testing.assert_close(grid_losses(scores, labels, torch.zeros(2, dtype=torch.long))[1], expected)
    assert grid_losses(scores, torch.full((4, 1), UNLABELLED), torch.zeros(2, dtype=torch.long)).tolist() == [0, 0]


def test_a_cell_that_diverges_is_always_wrong_and_leaves_the_others_alone() -> None:
    grid = new_grid(QUICK, WIDTH, HEADS, [CLASSES], 0).eval()
    with torch.no_grad():
        grid.weights["classifier_weight"][1] = torch.nan
    found = grid_predictions(grid, [torch.randn(6, 5, WIDTH)])
    assert found.shape == (4, 6) and (found[1] == -1).all() and (found[[0, 2, 3]] >= 0).all()


def test_the_rate_warms_up_and_ends_near_the_minimum() -> None:
    assert rate_share(0, 100, 4) == (0.25, 0.0)
    assert rate_share(4, 100, 4) == (1.0, 0.0)
    assert rate_share(52, 100, 4)[1] == pytest.approx(0.5)
    assert rate_share(99, 100, 4)[1] > 0.999


def test_the_grid_is_table_a2s() -> None:
    assert len(probe_recipe("attentive").cells) == len(probe_recipe("paper").cells) == 14
    assert probe_recipe("paper").augmented and not probe_recipe("aim-v1").classifier_bias
    assert {*probe_recipe("paper").cells[:2]} == {(5e-5, 0.05), (5e-5, 0.1)}
    with pytest.raises(KeyError, match="did you mean attentive"):
        probe_recipe("atentive")
    assert all(probe.min_lr == 1e-5 and probe.gradient_clip == 3.0 for probe in PROBES.values())


def test_an_epoch_of_another_length_is_refused() -> None:
    grid = ProbeGrid(AttentiveProbe(WIDTH, HEADS, CLASSES), [0, 0, 0, 0])
    with pytest.raises(ValueError, match="not 5"):
        train_grid(grid, QUICK, STEPS + 1, epoch)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rates": ()}, "one value or more"),
        ({"learning_rates": (1e-6,)}, "learning_rates = 1e-06"),
        ({"warmup_epochs": 3}, "leaves none of 3 epochs"),
        ({"selection_share": 0.0}, "selection_share"),
        ({"kind": "neighbours", "augmented": True}, "nothing is trained"),
    ],
)
def test_bad_settings_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(QUICK, **change)
