"""The planned memory of a step against the measured one: on a GPU by torch's own count, else of every tensor made.

    python -m benchmarks.memory_plan

One rank, the local engine. Prints both and exits with 1 where they differ by more than a tenth.
"""

from __future__ import annotations

import gc
import sys

import torch

from aimv2_lab.data.batches import Batch
from aimv2_lab.data.transforms import pixel_scale
from aimv2_lab.model.models import model_of
from aimv2_lab.recipes import PretrainingRecipe, Recipe, recipe
from aimv2_lab.training.engine import LocalEngine, pick_device
from aimv2_lab.training.optimizers.state import optimizer_tensors
from aimv2_lab.training.plan.activations import count_activations
from aimv2_lab.training.plan.estimate import peak_bytes
from aimv2_lab.training.plan.memory import optimizer_bytes, parameter_count, rank_memory
from aimv2_lab.training.step import loss_counts, train_step

TOLERANCE = 0.1
CPU = torch.device("cpu")

# Recipe, micro-batch, micro-batches of a step.
ON_GPU = [("aimv2-large-224", 8, 1), ("aimv2-large-224", 32, 1), ("aimv2-large-224", 32, 2), ("aimv2-huge-224", 16, 1)]
ON_GPU += [("aimv2-1b-224", 16, 1), ("aimv2-large-448", 8, 1), ("aim-600m", 32, 1)]
ON_CPU = [("tiny", 32, 1), ("tiny", 8, 4), ("small", 16, 1), ("small", 8, 2), ("aim-tiny", 32, 1)]


def local(name: str, micro_batch: int, micro_steps: int) -> PretrainingRecipe:
    """A preset whose step is so many micro-batches, planned as the local engine runs it."""
    sizes = {"training.micro_batch_size": micro_batch, "training.batch_size": micro_batch * micro_steps}
    known: PretrainingRecipe = recipe(name, {**sizes, "engine.zero_stage": 0})
    return known


def full_batch(known: PretrainingRecipe) -> Batch:
    """Noise with captions of all tokens that the recipe allows, as a loader makes it."""
    size, pixels, tokens = known.training.batch_size, known.encoder.image_size, known.text_tokens
    vocabulary = known.decoder.vocabulary if isinstance(known, Recipe) else 1
    return Batch(
        pictures=torch.randint(256, (size, 3, pixels, pixels), dtype=torch.uint8),
        tokens=torch.randint(vocabulary, (size, tokens)),
        counted=torch.ones(size, tokens, dtype=torch.bool),
        prefix_lengths=torch.randint(1, known.encoder.patches, (size,)),
        keys=tuple(map(str, range(size))),
        scale=pixel_scale(known.data),
    )


def planned_peak(known: PretrainingRecipe, fused_norms: bool) -> int:
    """Bytes that the plan gives one rank."""
    activations = count_activations(known, fused_norms=fused_norms)
    return rank_memory(known, 1, parameter_count(known), activations, optimizer_bytes(known)).peak


def measured_peak(known: PretrainingRecipe, device: torch.device) -> int:
    """Bytes held at the worst moment of a step that is not the first."""
    engine = LocalEngine(model_of(known), known.training, device)
    batch = full_batch(known).to(device)
    counts = loss_counts(batch, known)
    train_step(engine, batch, counts, known)  # makes the optimizer's state
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        train_step(engine, batch, counts, known)
        return torch.cuda.max_memory_allocated()
    given = (batch.pictures, batch.tokens, batch.prefix_lengths)
    states = optimizer_tensors(engine.optimizer, engine.model).values()
    held = sum(tensor.nbytes for tensor in (*engine.model.parameters(), *given, *states))
    return held + peak_bytes(lambda: train_step(engine, batch, counts, known))


def main() -> None:
    """Print every case; exit with 1 where one is off."""
    device, off = pick_device(), 0
    on_gpu = device.type == "cuda"
    print(torch.cuda.get_device_name() if on_gpu else "CPU, float32")
    for name, micro_batch, micro_steps in ON_GPU if on_gpu else ON_CPU:
        known = local(name, micro_batch, micro_steps)
        planned, measured = planned_peak(known, fused_norms=on_gpu), measured_peak(known, device)
        off += abs(planned / measured - 1) > TOLERANCE
        both = f"planned {planned / 1e9:7.3f} GB, measured {measured / 1e9:7.3f} GB"
        print(f"{name:16} {micro_steps} x {micro_batch:3}: {both}, {planned / measured - 1:+.1%}", flush=True)
        gc.collect()
    sys.exit(f"{off} cases are off by more than {TOLERANCE:.0%}" if off else 0)


if __name__ == "__main__":
    main()
