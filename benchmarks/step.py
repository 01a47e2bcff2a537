"""A training step, ours and a plain one, eager and compiled: processor time or GPU time, peak memory, losses.

    python -m benchmarks.step
    python -m benchmarks.step --tokens 77
    python -m benchmarks.step --device cuda --pairs 128 --set encoder.width=1024 …

Ours is `train_step` under LocalEngine, its blocks compiled one by one; the plain one is benchmarks/plain_step.py,
compiled whole. The same weights (norms' drawn at random, so that an exchanged one shows), the same batch of noise, the
same optimiser. First their losses are held against each other; then all take a step in every round, and the order of a
round changes. A figure is the median over the rounds; a ratio the median of the ratios within rounds, because the speed
of a shared machine drifts. On the CPU a step costs processor time of this process, on a GPU the time between two
events. The peak of memory is that of a step beyond what was allocated before it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Annotated, NamedTuple

import torch
import tyro
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from tqdm.auto import tqdm

from aimv2_lab.data.batches import Batch
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import Recipe, recipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.step import loss_counts, train_step
from benchmarks.plain_step import PlainTrainer

Step = Callable[[], Tensor]  # one training step; returns the loss

SIZES = {
    "encoder.image_size": 224,
    "encoder.patch_size": 14,
    "encoder.positions": "learned",
    "encoder.width": 192,
    "encoder.depth": 6,
    "encoder.heads": 3,
    "encoder.hidden": 512,
    "decoder.width": 192,
    "decoder.depth": 3,
    "decoder.heads": 3,
    "decoder.hidden": 512,
    "decoder.vocabulary": 32_000,
    "decoder.text_tokens": 77,
    "training.steps": 100_000,
    "training.peak_lr": 1e-4,
}


class Measured(NamedTuple):
    """One variant: milliseconds of every round, bytes at the peak of a step beyond weights and optimiser, losses."""

    milliseconds: list[float]
    peak: int
    losses: list[float]


def noise_batch(plan: Recipe, pairs: int, tokens: int) -> Batch:
    """Pictures of noise with captions of `tokens` tokens in the mean, of many lengths unless they fill the recipe's."""
    draws, most = torch.Generator().manual_seed(0), plan.text_tokens
    spread = torch.randn(pairs, generator=draws).mul(0.5).exp()
    lengths = (spread / spread.mean() * tokens).round().clamp(2, most).long()
    lengths = torch.full_like(lengths, most) if tokens >= most else lengths
    longest, size = int(lengths.max()), plan.encoder.image_size
    return Batch(
        pictures=torch.randn(pairs, 3, size, size, generator=draws),
        tokens=torch.randint(0, plan.decoder.vocabulary, (pairs, longest), generator=draws),
        counted=torch.arange(longest) < lengths[:, None],
        prefix_lengths=torch.randint(1, plan.encoder.patches, (pairs,), generator=draws),
        keys=tuple(map(str, range(pairs))),
    )


def drawn_model(plan: Recipe) -> AIMv2:
    """A fresh model whose norms' weights differ from one another."""
    model, draws = build_model(plan), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.mul_(1 + 0.1 * torch.randn(weight.shape, generator=draws))
    return model


def our_step(plan: Recipe, batch: Batch, device: torch.device, compiled: bool) -> Step:
    """A step of ours, as the loop takes it."""
    plan = plan.change({"engine.compile": compiled})
    engine = LocalEngine(drawn_model(plan).train(), plan.training, device)
    there, counts = batch.to(device), loss_counts(batch, plan)
    return lambda: train_step(engine, there, counts, plan).total


def plain_step(plan: Recipe, batch: Batch, device: torch.device, compiled: bool) -> Step:
    """A step of the plain trainer."""
    trainer, there = PlainTrainer(drawn_model(plan), plan, device, compiled), batch.to(device)
    return lambda: trainer.step(there)


def milliseconds(step: Step, device: torch.device) -> tuple[float, float]:
    """What one step takes, and its loss."""
    if device.type == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        loss = step()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end), loss.item()
    started = time.process_time()
    loss = step()
    return 1000 * (time.process_time() - started), loss.item()


def peak_memory(step: Step, device: torch.device) -> int:
    """The most bytes that are allocated during a step beyond those before it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
    assert seen.profiler is not None and seen.profiler.kineto_results is not None
    found = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(found, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def measure(steps: dict[str, Step], rounds: int, device: torch.device) -> dict[str, Measured]:
    """Every variant once a round, each time another one first; two rounds before them compile and warm up."""
    taken = {name: Measured([], 0, []) for name in steps}
    names = list(steps)
    for number in tqdm(range(rounds + 2), desc="rounds", disable=None):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            spent, loss = milliseconds(steps[name], device)
            taken[name].losses.append(loss)
            if number >= 2:
                taken[name].milliseconds.append(spent)
        if number == 0:
            first = [measured.losses[0] for measured in taken.values()]
            if max(first) - min(first) > 1e-4 * max(first):
                raise ArithmeticError(f"the variants compute different losses, {first}: nothing to compare")
    return {name: measured._replace(peak=peak_memory(steps[name], device)) for name, measured in taken.items()}


def report(found: dict[str, Measured]) -> None:
    """One line per variant, then ours against the plain one."""
    for name, (spent, peak, losses) in found.items():
        low, middle, high = min(spent), statistics.median(spent), max(spent)
        trace = " ".join(f"{loss:.5f}" for loss in (losses[0], losses[1], losses[-1]))
        print(f"{name:15} {middle:8.1f} ms ({low:.1f} … {high:.1f})  peak {peak / 2**20:7.1f} MiB  losses {trace}")
    for kind in ("eager", "compiled"):
        plain, ours = found.get(f"plain {kind}"), found.get(f"ours {kind}")
        if plain and ours:
            ratios = [theirs / mine for theirs, mine in zip(plain.milliseconds, ours.milliseconds, strict=True)]
            low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
            print(
                f"{kind}: {middle:.3f} times as fast ({low:.3f} … {high:.3f}), {ours.peak / plain.peak:.2f} of memory"
            )


def main(
    tokens: int = 24,
    pairs: int = 8,
    rounds: int = 15,
    device: str = "cpu",
    precision: str = "float32",
    compiled: bool = True,
    changes: Annotated[tuple[str, ...], tyro.conf.arg(name="set", metavar="FIELD=VALUE")] = (),
) -> None:
    """Build the variants, compare their losses, time them. `--set` changes sizes, e.g. `encoder.width=1024`."""
    torch.set_num_threads(1)
    given = dict(change.split("=", maxsplit=1) for change in changes)
    sizes = {"training.batch_size": pairs, "training.micro_batch_size": pairs, "training.precision": precision}
    plan = recipe("tiny", SIZES | sizes | {name: int(value) for name, value in given.items()})
    place, batch = torch.device(device), noise_batch(plan, pairs, tokens)
    lengths = batch.text_lengths
    print(f"{pairs} pairs, captions of {lengths.float().mean():.1f} tokens in the mean, {lengths.max()} at most")
    steps: dict[str, Step] = {}
    for kind in ("eager", "compiled") if compiled else ("eager",):
        steps[f"plain {kind}"] = plain_step(plan, batch, place, kind == "compiled")
        steps[f"ours {kind}"] = our_step(plan, batch, place, kind == "compiled")
    report(measure(steps, rounds, place))


if __name__ == "__main__":
    tyro.cli(main)
