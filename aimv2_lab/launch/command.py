"""What the launch commands share: a preset with any field set beside it, and plain endings for bad input."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from aimv2_lab.data.damage import TooMuchDamage
from aimv2_lab.fields import UnknownName
from aimv2_lab.recipes import AnyRecipe, recipe


@dataclasses.dataclass(frozen=True)
class Options:
    """A recipe, its data and its run folder. `--recipe NAME` (default tiny) picks the preset whose fields follow."""

    recipe: Annotated[AnyRecipe, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands]
    data: str = ""
    """Pairs to train on: a folder or file (WebDataset .tar/.tar.xz, Parquet, image folder with metadata.jsonl), a hub
    data set's name, or world:PRESET. Default: the recipe's data.source."""
    run: Path | None = None
    """The run folder. An existing run is never overwritten."""
    resume: bool = False
    """Go on from the newest checkpoint of the run folder, or start if it holds no run."""


def read_command(arguments: Sequence[str], program: str) -> Options:
    """The options of a command line: the preset named by --recipe with the fields set beside it."""
    preset = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    preset.add_argument("--recipe", default="tiny")
    named, rest = preset.parse_known_args(arguments)
    usage = f"python -m aimv2_lab.launch.{program} [--recipe NAME]"
    options = tyro.cli(Options, default=Options(recipe(named.recipe)), args=rest, prog=usage)
    if not options.data:
        return options
    data = dataclasses.replace(options.recipe.data, source=options.data)
    return dataclasses.replace(options, recipe=dataclasses.replace(options.recipe, data=data))


def end_plainly(command: Callable[[], None], go_on: str = "add --resume to go on from the newest checkpoint") -> None:
    """Run a command; bad input ends with one line that says what to do, not with a traceback.

    `go_on` is what to do after an interruption.
    """
    try:
        command()
    except (UnknownName, ValueError, OSError, FloatingPointError, TooMuchDamage) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"interrupted; {go_on}")
