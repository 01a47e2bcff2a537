"""What a run will need:  python -m aimv2_lab.launch.plan --recipe aimv2-large-224 --gpu h100 --gpus 64

Prints memory of a rank by kind, FLOPs of a picture, time and money; what cannot fit is refused with the smallest change
that does. Every field of the recipe can be set, e.g. `--engine.zero-stage 2 --training.micro-batch-size 64`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from aimv2_lab.fields import check_range
from aimv2_lab.launch.command import end_plainly, named_preset
from aimv2_lab.recipes import PretrainingRecipe, is_native
from aimv2_lab.training.optimizers.building import check_matrix_optimizer
from aimv2_lab.training.plan.activations import count_activations
from aimv2_lab.training.plan.cost import assumed_rate, run_cost
from aimv2_lab.training.plan.fit import changes_that_fit
from aimv2_lab.training.plan.flops import picture_flops
from aimv2_lab.training.plan.gpus import GPUS, gpu_of
from aimv2_lab.training.plan.memory import optimizer_bytes, parameter_count, rank_memory
from aimv2_lab.training.plan.page import cost_lines, flops_line, headline, memory_table, remedy


@dataclasses.dataclass(frozen=True)
class PlanOptions:
    """A recipe and a cluster. `--recipe NAME` picks the preset whose fields follow."""

    recipe: Annotated[PretrainingRecipe, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands]
    gpu: Annotated[str, tyro.conf.arg(help=f"Kind of GPU: {', '.join(GPUS)}.")] = "h100"
    gpus: int = 8
    """How many of them."""
    utilisation: float = 0.45
    """Assumed share of the tensor cores' peak, communication and loader included. None was measured on GPUs yet."""
    measured: float | None = None
    """Images per second that one GPU was measured to train on (those of metrics.jsonl, over the GPUs of that run);
    planned with as well."""
    price: float = 2.5
    """Of one hour of one GPU, in any currency."""

    def __post_init__(self) -> None:
        for name, least in (("gpus", 1), ("price", 0)):
            check_range(f"--{name}", getattr(self, name), least)
        check_range("--utilisation", self.utilisation, 1e-3, 1.0)
        if self.measured is not None:
            check_range("--measured", self.measured, 1e-3)


def plan(options: PlanOptions) -> str:
    """The plan as text.

    Raises ValueError for what cannot fit, with the smallest change that does, for batches that cannot be cut over the
    ranks, for float32, for native resolution, for SOAP and Muon with ZeRO 1 … 3 and for a file of DeepSpeed's settings
    that contradicts the recipe, and UnknownName for a GPU not in the table.
    """
    recipe, gpu, gpus = options.recipe, gpu_of(options.gpu), options.gpus
    if recipe.training.precision != "bfloat16":
        raise ValueError(f"{recipe.name} computes in float32; plans are for --training.precision bfloat16")
    if is_native(recipe):
        raise ValueError(
            f"{recipe.name} has pictures of another size at every step, which are not planned: --resolution.batching "
            "fixed plans a run with as many patches a step, whose attention takes less than that of large pictures"
        )
    check_matrix_optimizer(recipe)
    parameters, activations, state = parameter_count(recipe), count_activations(recipe), optimizer_bytes(recipe)
    memory = rank_memory(recipe, gpus, parameters, activations, state)
    if memory.peak > gpu.usable:
        changes = changes_that_fit(recipe, gpus, parameters, activations, gpu.usable, state)
        raise ValueError(remedy(changes, memory, gpu))
    rates = {"assumed": assumed_rate(recipe, gpu, options.utilisation)}
    if options.measured is not None:
        rates["measured"] = options.measured
    return "\n".join(
        [
            headline(recipe, gpu, gpus),
            memory_table(memory, gpu, recipe.training.optimizer),
            flops_line(picture_flops(recipe)),
            *(cost_lines(run_cost(recipe, gpu, gpus, rate, options.price), gpus, kind) for kind, rate in rates.items()),
        ]
    )


def read_plan(arguments: Sequence[str]) -> PlanOptions:
    """The options of a command line."""
    preset, rest = named_preset(arguments)
    usage = "python -m aimv2_lab.launch.plan --recipe NAME"
    return tyro.cli(PlanOptions, default=PlanOptions(preset), args=rest, prog=usage)


def main() -> None:
    """Run the command line."""
    end_plainly(lambda: print(plan(read_plan(sys.argv[1:]))), go_on="give the command again")


if __name__ == "__main__":
    main()
