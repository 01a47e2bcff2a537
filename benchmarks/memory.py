"""Memory of the loader's workers over many samples: it must not grow.

    python -m benchmarks.memory [--samples 50000] [--workers 2]

Reads generated pairs from indexed shards in the order of a run, several epochs of them, and prints what each worker
holds for itself alone (unique set size), every tenth of the way.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch
import tyro

from aimv2_lab.data.batches import PairDataset, batches
from aimv2_lab.data.mixture import open_mixture
from aimv2_lab.data.world.export import WorldExport, export_world
from aimv2_lab.recipes import recipe

BATCH, SHARDS, OF = 50, 40, 250


def unique_mib(process: psutil.Process) -> float:
    """Memory that no other process shares, in MiB."""
    return float(process.memory_full_info().uss) / 2**20


def held_by_workers(samples: int, workers: int, readings: int = 10) -> Iterator[list[float]]:
    """MiB of every worker (workers,), read at equal distances while `samples` go through."""
    with tempfile.TemporaryDirectory() as folder:
        export_world(WorldExport(Path(folder), world="easy", pairs=SHARDS * OF, shard_size=OF, size=28))
        size = {"encoder.image_size": 28, "data.validation_share": 0.0, "data.source": folder}
        plan = recipe("aim-600m", size)
        dataset = PairDataset(open_mixture("train", plan.data, 28), None, plan, training=True)
        steps = samples // BATCH
        for step, _ in enumerate(batches(dataset, BATCH, 0, steps, workers), start=1):
            if step % (steps // readings) == 0:
                yield [unique_mib(child) for child in psutil.Process().children()]


def growth(rows: list[list[float]]) -> list[float]:
    """By how much each worker grew over the second half."""
    return [last - middle for middle, last in zip(rows[len(rows) // 2 - 1], rows[-1], strict=True)]


def main(samples: int = 50_000, workers: int = 2) -> None:
    """Print every reading and the growth over the second half."""
    torch.set_num_threads(1)
    rows = []
    for number, row in enumerate(held_by_workers(samples, workers), start=1):
        rows.append(row)
        print(f"{number * samples // 10:8} samples: " + "  ".join(f"{held:6.1f} MiB" for held in row), flush=True)
    print("growth over the second half: " + "  ".join(f"{held:+.1f} MiB" for held in growth(rows)))


if __name__ == "__main__":
    tyro.cli(main)
