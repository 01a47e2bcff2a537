"""The plan of a run as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aimv2_lab.recipes import OptimizerName, PretrainingRecipe
from aimv2_lab.training.plan.cost import Cost
from aimv2_lab.training.plan.flops import Flops
from aimv2_lab.training.plan.gpus import USABLE, Gpu
from aimv2_lab.training.plan.memory import RankMemory
from aimv2_lab.training.sharded.config import micro_steps

_KINDS = {
    "weights": "",
    "gathered": "other ranks' weights while in use",
    "gradients": "",
    "optimizer": "",
    "communication": "gradients on their way to other ranks",
    "batch": "8-bit pictures and tokens of a rank, and a micro-batch of them normalised",
    "activations": "kept for the backward pass; a compiled step keeps less",
}
_STATES: dict[OptimizerName, str] = {
    "adamw": "Adam's means",
    "soap": "SOAP's means, statistics and bases, Adam's means of the rest",
    "muon": "Muon's momentum, Adam's means of the rest",
}


def headline(recipe: PretrainingRecipe, gpu: Gpu, gpus: int) -> str:
    """What is planned, in one line."""
    training, engine = recipe.training, recipe.engine
    extras = [f"ZeRO stage {engine.zero_stage}", f"{engine.weights} weights"]
    extras += ["blocks recomputed"] * engine.activation_checkpointing
    extras += [f"{engine.offload} offloaded"] * (engine.offload != "none")
    batch = f"{gpus} ranks x {micro_steps(recipe, gpus)} x {training.micro_batch_size} = {training.batch_size}"
    return f"{recipe.name} on {gpus} x {gpu.name}: {', '.join(extras)}, batch {batch}"


def memory_table(memory: RankMemory, gpu: Gpu, optimizer: OptimizerName) -> str:
    """Bytes of a rank by kind, in GB (10^9 bytes)."""
    reasons = _KINDS | {"optimizer": f"{_STATES[optimizer]}, and ZeRO's float32 copy of the weights"}
    rows = [_row(kind, getattr(memory, kind), why) for kind, why in reasons.items() if getattr(memory, kind)]
    rows.append(
        _row("peak", memory.peak, f"at the worst moment, of {gpu.usable / 1e9:.1f} ({USABLE:.0%} of the GPU's)")
    )
    if memory.host:
        rows.append(_row("on the host", memory.host, "offloaded, for every rank"))
    return "\n".join(["memory of a rank", *rows])


def _row(kind: str, size: int, why: str) -> str:
    return f"  {kind:14} {size / 1e9:8.2f} GB  {why}".rstrip()


def flops_line(flops: Flops) -> str:
    """The arithmetic of a picture, by part, in GFLOP."""
    parts = {name: getattr(flops, name) / 1e9 for name in Flops._fields if getattr(flops, name) and name != "frozen"}
    named = ", ".join(f"{name.replace('_', ' ')} {value:.1f}" for name, value in parts.items())
    return f"a picture's forward pass: {flops.forward / 1e9:.1f} GFLOP, a third of its step\n  {named}"


def cost_lines(cost: Cost, gpus: int, kind: str) -> str:
    """Rate, time and money; `kind` says how the rate is known."""
    rate = f"{cost.images_per_second:,.0f} images/s a GPU, {cost.images_per_second * gpus:,.0f} in all"
    money = f"{cost.days:.1f} days, {cost.gpu_hours:,.0f} GPU-hours, {cost.money:,.0f} for them"
    return f"{kind}: utilisation {cost.utilisation:.2f}, {rate}, {cost.step_seconds:.3g} s a step\n  {money}"


def remedy(changes: Mapping[str, Any] | None, memory: RankMemory, gpu: Gpu) -> str:
    """Why a plan is refused, and the smallest change with which it fits."""
    why = f"a rank needs {memory.peak / 1e9:.1f} GB, and {gpu.usable / 1e9:.1f} GB of a {gpu.name} can be planned with"
    if changes is None:
        return (
            f"{why}; no micro-batch, recomputation, ZeRO stage or offload makes it fit: take more GPUs or larger ones"
        )
    return f"{why}. The smallest change that fits: {' '.join(map(_option, changes.items()))}"


def _option(change: tuple[str, Any]) -> str:
    path, value = change
    name = path.replace("_", "-")
    return f"--{name}" if value is True else f"--{name} {value}"
