"""What the commands share that go on from a trained model: a checkpoint, one choice and data make the recipe."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import tyro

from aimv2_lab.formats.folder import RECIPE_FILE, read_recipe
from aimv2_lab.launch.command import speaks, with_data
from aimv2_lab.recipes import ContrastiveRecipe, DistillationRecipe, FinetuneRecipe, Recipe
from aimv2_lab.training.run.folder import is_run

RecipeT = TypeVar("RecipeT", Recipe, FinetuneRecipe, ContrastiveRecipe, DistillationRecipe)


class Choice(NamedTuple):
    """An option of a command with a few values, the first of which is the default."""

    name: str
    values: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class StartOptions(Generic[RecipeT]):
    """A trained model to go on from, data and a run folder."""

    recipe: Annotated[RecipeT, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands]
    data: str = ""
    """Pairs, or labelled pictures for fine-tuning, as launch.pretrain takes pairs. Default: the recipe's data."""
    run: Path | None = None
    """The run folder. An existing run is never overwritten."""
    resume: bool = False
    """Go on from the newest checkpoint of the run folder, or start if it holds no run."""

    @property
    def folder(self) -> Path:
        """The run folder, by default runs/NAME."""
        return self.run or Path("runs") / self.recipe.name


def read_start_options(
    kind: type[StartOptions[RecipeT]],
    arguments: Sequence[str],
    program: str,
    description: str | None,
    choice: Choice,
    make: Callable[[str, Any], RecipeT],
    checkpoint: str = "start",
) -> StartOptions[RecipeT]:
    """The options of a command line: the recipe that `make` gives for the checkpoint and the choice, on the data of
    --data, with the fields set beside it.

    The checkpoint is named by --start (or what `checkpoint` says), or by --from, in all of them. Without --data the
    recipe's own data stay. A run that is resumed has its recipe in its folder, and needs neither
    checkpoint nor choice; else the program ends with usage where no checkpoint is named.
    """
    begun: RecipeT | None = _begun(arguments)
    flags: tuple[str, ...] = (f"--{checkpoint}", "--from")
    own = argparse.ArgumentParser(
        prog=program,
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=not any(word.startswith(flags) for word in arguments),  # then tyro lists the recipe's fields
    )
    own.add_argument(*flags, dest="checkpoint", required=begun is None)
    own.add_argument(f"--{choice.name}", dest="choice", choices=choice.values, default=choice.values[0])
    own.add_argument("--data", default="")
    own.add_argument("--local_rank", help=argparse.SUPPRESS)  # deepspeed's launcher adds it
    named, rest = own.parse_known_args(arguments)
    found = make(named.checkpoint, named.choice) if begun is None else begun
    default = kind(with_data(found, named.data) if named.data else found, named.data)
    return tyro.cli(kind, default=default, args=rest, prog=program, console_outputs=speaks())


def _begun(arguments: Sequence[str]) -> Any:
    """The recipe of the run that is to be gone on with, None where there is none yet."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--run", type=Path)
    own.add_argument("--resume", action="store_true")
    named, _ = own.parse_known_args(arguments)
    there = named.resume and named.run is not None and is_run(named.run)
    return read_recipe(named.run / RECIPE_FILE) if there else None
