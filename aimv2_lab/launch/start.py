"""What the commands share that go on from a trained encoder: a checkpoint, one choice and data make the recipe."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from aimv2_lab.launch.command import read_mixture
from aimv2_lab.recipes import ContrastiveRecipe, DistillationRecipe, FinetuneRecipe

RecipeT = TypeVar("RecipeT", FinetuneRecipe, ContrastiveRecipe, DistillationRecipe)


class Choice(NamedTuple):
    """An option of a command with a few values, the first of which is the default."""

    name: str
    values: tuple[str, ...]


def start_recipe(
    arguments: Sequence[str],
    program: str,
    description: str | None,
    choice: Choice,
    make: Callable[[str, Any], RecipeT],
    checkpoint: str = "start",
) -> tuple[RecipeT, str, list[str]]:
    """The recipe that `make` gives for a checkpoint and the choice, on the data of --data; that data; other arguments.

    Without --data the recipe's own data stay. Ends the program with usage where the checkpoint is missing.
    """
    own = argparse.ArgumentParser(
        prog=program,
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=f"--{checkpoint}" not in " ".join(arguments),
    )
    own.add_argument(f"--{checkpoint}", dest="checkpoint", required=True)
    own.add_argument(f"--{choice.name}", dest="choice", choices=choice.values, default=choice.values[0])
    own.add_argument("--data", default="")
    own.add_argument("--local_rank", help=argparse.SUPPRESS)  # deepspeed's launcher adds it
    named, rest = own.parse_known_args(arguments)
    found = make(named.checkpoint, named.choice)
    if named.data.endswith(".json"):
        found = found.change({"data.mixture": read_mixture(named.data)})
    elif named.data:
        found = found.change({"data.source": named.data})
    return found, named.data, rest
