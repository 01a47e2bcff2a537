"""Probes of pictures of many sizes: what stands in the padding is in no score, no gradient and no mean."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from aimv2_lab.evaluation.padded import Padded
from aimv2_lab.evaluation.probe import AttentiveProbe
from aimv2_lab.evaluation.probing.grid import ProbeGrid
from aimv2_lab.evaluation.probing.training import new_grid, train_grid
from aimv2_lab.recipes.probing import ProbeRecipe

WIDTH, HEADS, CLASSES = 8, 2, 3
COUNTS = torch.tensor([5, 1, 9, 9, 3, 7])
QUICK = ProbeRecipe(learning_rates=(1e-3, 3e-2), weight_decays=(0.0, 0.3), epochs=2, batch_size=6)


def patches(seed: int = 0, counts: Tensor = COUNTS) -> Tensor:
    """Far from standard, so that a mean over anything else shows."""
    draws = torch.Generator().manual_seed(seed)
    found = 3 * torch.randn(int(counts.sum()), WIDTH, generator=draws, dtype=torch.double)
    return found + torch.arange(WIDTH)


def filled(value: float) -> Padded:
    """The pictures, with a value in the padding."""
    padded = Padded.of(patches(), COUNTS)
    return padded._replace(features=padded.features.masked_fill(~padded.real[..., None], value))


def probes() -> tuple[ProbeGrid, AttentiveProbe]:
    """A grid of cells that have become different probes, and one probe, behind a batch norm that has seen something."""
    torch.manual_seed(0)
    grid = new_grid(QUICK, WIDTH, HEADS, [CLASSES], 0).double()
    for weight in grid.weights.values():
        weight.data += 0.3 * torch.randn_like(weight)
    probe = AttentiveProbe(WIDTH, HEADS, CLASSES).double()
    for one in (grid, probe):
        one.norm.running_mean = torch.arange(WIDTH, dtype=torch.double)
        one.norm.running_var = torch.linspace(1, 9, WIDTH, dtype=torch.double)
        one.eval()
    return grid, probe


def test_patches_go_into_the_padding_and_out_of_it() -> None:
    padded = Padded.of(patches(), COUNTS)
    assert padded.features.shape == (6, 9, WIDTH) and torch.equal(padded.patches, patches())
    assert padded.real.sum(dim=1).equal(COUNTS) and not padded.features[~padded.real].any()
    assert torch.equal(padded.features[1, 0], patches()[5])


@pytest.mark.parametrize("value", [0.0, 1e4, float("nan")])
def test_a_pictures_scores_are_those_it_has_alone(value: float) -> None:
    for probe in probes():
        together = probe(filled(value))
        alone = [probe(one[None]) for one in patches().split(COUNTS.tolist())]
        torch.testing.assert_close(together, torch.cat(alone, dim=-2), rtol=1e-12, atol=1e-12)


def test_no_gradient_reaches_the_padding() -> None:
    for probe in probes():
        for training in (False, True):
            padded = filled(1.0)
            padded.features.requires_grad_()
            probe.train(training)(padded).square().sum().backward()
            gradient = padded.features.grad
            assert gradient is not None and not gradient[~padded.real].any()
            assert gradient[padded.real].abs().amin() > 0


def test_the_batch_norm_learns_from_patches_alone() -> None:
    norm = nn.BatchNorm1d(WIDTH, affine=False).double()
    for probe in probes():
        norm.load_state_dict(probe.norm.state_dict())
        norm(patches())
        probe.train()(filled(50.0))
        torch.testing.assert_close(probe.norm.state_dict(), norm.state_dict())


def test_without_any_padding_training_is_what_it_is_for_one_size() -> None:
    counts, labels = torch.full((6,), 4), torch.arange(6)[:, None] % CLASSES
    dense = [patches(seed, counts).view(6, 4, WIDTH) for seed in range(3)]
    one_size, own_sizes = (
        train_grid(new_grid(QUICK, WIDTH, HEADS, [CLASSES], 0).double(), QUICK, 3, lambda _, seen=seen: seen)  # type: ignore[misc]
        for seen in ([(one, labels) for one in dense], [(Padded(one, counts), labels) for one in dense])
    )
    torch.testing.assert_close(own_sizes.state_dict(), one_size.state_dict(), rtol=1e-9, atol=1e-9)


def test_a_grid_trained_with_padding_is_the_plain_probe_trained_with_it() -> None:
    recipe, labels = QUICK, torch.arange(6)[:, None] % CLASSES
    batches = [(filled(7.0), labels)]
    grid = train_grid(new_grid(recipe, WIDTH, HEADS, [CLASSES], 5).double(), recipe, 1, lambda _: batches)
    for cell, (rate, decay) in enumerate(recipe.cells):
        torch.manual_seed(5)
        probe = AttentiveProbe(WIDTH, HEADS, CLASSES).double()
        optimizer = torch.optim.AdamW(probe.parameters(), lr=rate, weight_decay=decay)
        for step in range(recipe.epochs):
            optimizer.param_groups[0]["lr"] = rate if step == 0 else (rate + recipe.min_lr) / 2
            optimizer.zero_grad()
            nn.functional.cross_entropy(probe(filled(-7.0)), labels[:, 0]).backward()
            nn.utils.clip_grad_norm_(probe.parameters(), recipe.gradient_clip)
            optimizer.step()
        found, expected = grid(filled(0.0))[cell], probe.eval()(filled(0.0))
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
