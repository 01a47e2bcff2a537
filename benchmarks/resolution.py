"""Pictures of many sizes: images a second by area, ours against transformers' on the same weights; and native training
steps, padded and packed, against a step at one size.

    python -m benchmarks.resolution
    python -m benchmarks.resolution --device cuda --precision bfloat16 --set encoder.width=1024 …

Inference: as many pictures of one area as have 4,096 patches together, and then a list of pictures of many sizes, which
transformers takes one by one because it has no padding mask. The native Aimv2VisionModel holds the same weights (wide,
so that nothing can hide), and outputs are compared before anything is timed. Training: `train_step` on pictures of
noise of many ratios that fill `--tokens` patches, with captions of 24 tokens in the mean. Every variant takes a turn in
every round, another one first each time; a figure is the median over the rounds, a ratio the median of the ratios
within rounds. On the CPU processor time of this process, one thread; on a GPU the time between two events.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Annotated, NamedTuple

import torch
import tyro
from torch import Tensor
from transformers import Aimv2VisionConfig, Aimv2VisionModel

from aimv2_lab.data.native.batch import NativeBatch
from aimv2_lab.formats.huggingface import encoder_to_transformers, transformers_config
from aimv2_lab.grids import fitted_grid
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import Recipe, recipe
from aimv2_lab.training import native
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.step import loss_counts, train_step
from benchmarks.step import SIZES, milliseconds, noise_batch, our_step

AREAS = (128, 256, 576, 1024, 2048, 4096)
MOST = max(AREAS)
NATIVE = SIZES | {"encoder.positions": "sincos", "resolution.area_exponents": (7.0, 12.0)}
Call = Callable[[], Tensor]  # its result is added up to one number, so that whoever takes the time can wait for it


class Peer(NamedTuple):
    """The same encoder twice."""

    ours: VisionEncoder
    theirs: Aimv2VisionModel


def peers(plan: Recipe, device: torch.device, dtype: torch.dtype) -> Peer:
    """Our encoder with wide weights, and transformers' with the same."""
    ours = VisionEncoder(plan)
    draw_wide_weights(ours, torch.Generator().manual_seed(0))
    theirs = Aimv2VisionModel(Aimv2VisionConfig(**transformers_config(plan)))
    theirs.load_state_dict(encoder_to_transformers(ours), strict=False)
    return Peer(ours.eval().to(device, dtype), theirs.eval().to(device, dtype))


def taken(variants: dict[str, Call], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Milliseconds of every variant in every round, after one that warms up."""
    found, names = {name: list[float]() for name in variants}, list(variants)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            spent, _ = milliseconds(lambda call=variants[name]: call().sum(), device)  # type: ignore[misc]
            found[name] += [spent] if number else []
    return found


def ratio(found: dict[str, list[float]], slower: str, faster: str) -> str:
    """How many times as fast one is as the other, within rounds."""
    ratios = [one / other for one, other in zip(found[slower], found[faster], strict=True)]
    return f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} … {max(ratios):.2f})"


@torch.no_grad()
def inference(both: Peer, rounds: int, device: torch.device, dtype: torch.dtype) -> None:
    """One line for every area, and one for a list of many sizes."""
    size, draws = both.ours.recipe.patch_size, torch.Generator().manual_seed(1)

    def noise(count: int, grid: tuple[int, int]) -> Tensor:
        return torch.randn(count, 3, grid[0] * size, grid[1] * size, generator=draws).to(device, dtype)

    def theirs(images: Tensor) -> Tensor:
        return both.theirs(images).last_hidden_state

    for area in AREAS:
        grid = fitted_grid(4, 3, area)
        images = noise(max(MOST // area, 1), grid)
        check(both.ours(images), theirs(images), dtype)
        calls: dict[str, Call] = {"ours": partial(both.ours, images), "theirs": partial(theirs, images)}
        report(f"{area:5} patches, {len(images):2} at once", taken(calls, rounds, device), len(images))
    ratios = torch.rand(24, generator=draws).mul(2).sub(1).exp().tolist()
    areas = (2 ** torch.linspace(7, 12, 24)).round().int().tolist()
    many = [noise(1, fitted_grid(round(1000 * r), 1000, area))[0] for r, area in zip(ratios, areas, strict=True)]
    for image, found in zip(many, both.ours.features(many), strict=True):
        check(found.dense.flatten(1, 2), theirs(image[None]), dtype)
    calls = {
        "ours": lambda: torch.stack([found.mean.sum() for found in both.ours.features(many)]).sum(),
        "theirs": lambda: torch.stack([theirs(image[None]).mean(dim=1).sum() for image in many]).sum(),
    }
    report("24 sizes, 128 … 4096", taken(calls, rounds, device), len(many))


def check(ours: Tensor, theirs: Tensor, dtype: torch.dtype) -> None:
    """Raise ArithmeticError where the two encoders say different things."""
    apart = float((ours.float() - theirs.float()).abs().max() / theirs.float().abs().max())
    if apart > (1e-5 if dtype == torch.float32 else 5e-2):
        raise ArithmeticError(f"the encoders differ by {apart:.1e} of the largest value: nothing to compare")


def report(what: str, found: dict[str, list[float]], images: int) -> None:
    """Images a second of both, and the ratio."""
    rates = {name: 1000 * images / statistics.median(spent) for name, spent in found.items()}
    print(
        f"{what}: ours {rates['ours']:7.2f} images/s, theirs {rates['theirs']:7.2f}; times as fast: "
        f"{ratio(found, 'theirs', 'ours')}",
        flush=True,
    )


def native_batch(plan: Recipe, area: int, tokens: int) -> NativeBatch:
    """Pictures of noise of many ratios in an area, with captions, a step of `tokens` patches."""
    pairs, size = tokens // area, plan.encoder.patch_size
    draws = torch.Generator().manual_seed(2)
    ratios = torch.rand(pairs, generator=draws).mul(1.4).sub(0.7).exp().tolist()
    grids = [fitted_grid(round(1000 * ratio), 1000, area) for ratio in ratios]
    counts = torch.tensor([rows * columns for rows, columns in grids])
    text = noise_batch(plan, pairs, 24)
    return NativeBatch(
        pictures=torch.randn(pairs, 3, size, int(counts.max()) * size, generator=draws),
        tokens=text.tokens,
        counted=text.counted,
        prefix_lengths=(torch.rand(pairs, generator=draws) * (counts - 1)).long() + 1,
        keys=text.keys,
        patch_counts=counts,
        columns=torch.tensor([columns for _, columns in grids]),
        stands_for=plan.training.batch_size,
    )


def native_step(plan: Recipe, batch: NativeBatch, batching: str, sequences: int, device: torch.device) -> Call:
    """A training step on a native batch; packed rows as long as so many of the longest sequence."""
    known = plan.change({"resolution.batching": batching})
    engine, counts = LocalEngine(build_model(known).train(), known.training, device), loss_counts(batch, known)
    there = batch.to(device)

    def step() -> Tensor:
        native.ROW_SEQUENCES = sequences
        return train_step(engine, there, counts, known).total

    return step


def training(plan: Recipe, tokens: int, areas: tuple[int, ...], rounds: int, device: torch.device) -> None:
    """One line for every area: a padded step and packed ones, and a step at one size of the nearest square."""
    for area in areas:
        batch, side = native_batch(plan, area, tokens), round(area**0.5) * plan.encoder.patch_size
        fixed = plan.change({"resolution.batching": "fixed", "encoder.image_size": side})
        variants = {
            "padded": native_step(plan, batch, "padded", 1, device),
            "packed by 2": native_step(plan, batch, "packed", 2, device),
            "packed by 4": native_step(plan, batch, "packed", 4, device),
            "one size": our_step(fixed, noise_batch(fixed, len(batch), 24), device, compiled=False),
        }
        found = taken(variants, rounds, device)
        filled = int(batch.patch_counts.sum()) / (len(batch) * int(batch.patch_counts.max()))
        print(f"{area:5} patches, {len(batch):2} pictures, padded rows {filled:.0%} filled; padded is times as fast as")
        for name in ("packed by 2", "packed by 4", "one size"):
            print(f"      {name:12} {ratio(found, name, 'padded')}", flush=True)


def main(
    rounds: int = 3,
    device: str = "cpu",
    precision: str = "float32",
    tokens: int = 2048,
    training_areas: tuple[int, ...] = (128, 512, 1024),
    changes: Annotated[tuple[str, ...], tyro.conf.arg(name="set", metavar="FIELD=VALUE")] = (),
) -> None:
    """Print inference by area, then training by area. `--set` changes sizes, e.g. `encoder.width=1024`."""
    torch.set_num_threads(1)
    given = {name: int(value) for name, value in (change.split("=", maxsplit=1) for change in changes)}
    place, dtype = torch.device(device), getattr(torch, precision)
    sizes = {"training.batch_size": 16, "training.micro_batch_size": 16, "training.precision": precision}
    plan = recipe("tiny", NATIVE | sizes | given)
    inference(peers(plan, place, dtype), rounds, place, dtype)
    training(plan.change({"resolution.batching": "padded"}), tokens, training_areas, rounds, place)


if __name__ == "__main__":
    tyro.cli(main)
