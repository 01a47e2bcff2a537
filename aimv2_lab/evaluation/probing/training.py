"""Training all cells of a probe's grid at once, each with its own rate and decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from aimv2_lab.evaluation.padded import Padded
from aimv2_lab.evaluation.probe import AttentiveProbe, LinearProbe
from aimv2_lab.evaluation.probing.grid import ProbeGrid
from aimv2_lab.recipes.probing import ProbeRecipe

UNLABELLED = -100  # of a task that a picture has no label for
Batches = Iterable[tuple[Tensor | Padded, Tensor]]  # features (B, I, D) or (B, D), labels (B, tasks)


class CellAdamW:
    """torch's AdamW over weights whose first axis counts cells, each with its own rate and decay, and with the gradient
    clipped cell by cell."""

    def __init__(self, weights: Iterable[nn.Parameter], decays: Sequence[float], recipe: ProbeRecipe) -> None:
        self.weights, self.clip = list(weights), recipe.gradient_clip
        cells = [
            {"params": [weight.detach()[cell] for weight in self.weights], "weight_decay": decay}
            for cell, decay in enumerate(decays)
        ]
        self.optimizer = torch.optim.AdamW(cells, betas=recipe.betas, eps=recipe.adam_eps, fused=True)

    @torch.no_grad()
    def step(self, rates: Sequence[float]) -> None:
        """One step at these rates, one for each cell; gradients are used up."""
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients])
        kept = (self.clip / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0)  # as clip_grad_norm_ has it
        for gradient in gradients:
            gradient.mul_(kept.view(-1, *[1] * (gradient.ndim - 1)))
        for cell, (group, rate) in enumerate(zip(self.optimizer.param_groups, rates, strict=True)):
            group["lr"] = rate
            for part, gradient in zip(group["params"], gradients, strict=True):
                part.grad = gradient[cell]
        self.optimizer.step()
        for weight in self.weights:
            weight.grad = None


def rate_share(step: int, steps: int, warmup_steps: int) -> tuple[float, float]:
    """(share of the peak, share of the way down to the minimum) at a step: linear up from one step's share, then a
    cosine that would end one step after the last."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps, 0.0
    return 1.0, 0.5 - 0.5 * math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps))


def grid_losses(scores: Tensor, labels: Tensor, tasks: Tensor) -> Tensor:
    """Cross-entropy (C,) of scores (C, B, classes), each the mean over the pictures that its task has labels for."""
    wanted = labels.T[tasks]  # (C, B)
    losses = functional.cross_entropy(scores.flatten(0, 1), wanted.flatten(), ignore_index=UNLABELLED, reduction="none")
    return losses.view_as(wanted).sum(1) / (wanted != UNLABELLED).sum(1).clamp(min=1)


def new_grid(recipe: ProbeRecipe, width: int, heads: int, class_counts: Sequence[int], seed: int) -> ProbeGrid:
    """The untrained grid: for every task all cells of the recipe, with equal weights drawn by the seed alone."""
    classes, bias = max(class_counts), recipe.classifier_bias
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = (
            AttentiveProbe(width, heads, classes, bias)
            if recipe.kind == "attentive"
            else LinearProbe(width, classes, bias)
        )
    tasks = [task for task in range(len(class_counts)) for _ in recipe.cells]
    return ProbeGrid(probe, tasks, class_counts)


def train_grid(
    grid: ProbeGrid, recipe: ProbeRecipe, steps_per_epoch: int, epoch: Callable[[int], Batches]
) -> ProbeGrid:
    """Train the grid on what `epoch(number)` gives, `steps_per_epoch` batches each time; returns it for evaluation.

    Rates are changed at every step. Raises ValueError where an epoch has another number of batches.
    """
    cells = recipe.cells * (grid.cells // len(recipe.cells))
    optimizer, step = CellAdamW(grid.weights.values(), [decay for _, decay in cells], recipe), 0
    warmup_steps, steps = recipe.warmup_epochs * steps_per_epoch, recipe.epochs * steps_per_epoch
    grid.train()
    for number in range(recipe.epochs):
        for features, labels in epoch(number):
            grid_losses(grid(features), labels, grid.get_buffer("tasks")).sum().backward()
            up, down = rate_share(step, steps, warmup_steps)
            optimizer.step([peak * up + (recipe.min_lr - peak) * down for peak, _ in cells])
            step += 1
        if step != (number + 1) * steps_per_epoch:
            raise ValueError(f"epoch {number} has brought the steps to {step}, not {(number + 1) * steps_per_epoch}")
    return grid.eval()


@torch.no_grad()
def grid_predictions(grid: ProbeGrid, batches: Iterable[Tensor | Padded]) -> Tensor:
    """The likeliest class (C, N) of all features in the batches, -1 where a cell that has diverged has none."""
    found = []
    for features in batches:
        scores = grid(features)
        likeliest, lost = scores.argmax(dim=-1), scores.isnan().any(dim=-1)
        found.append(likeliest.masked_fill(lost, -1).cpu())
    return torch.cat(found, dim=1)
