"""What the launch commands share: a preset with any field set beside it, and plain endings for bad input."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
import tyro
from torch import distributed

from aimv2_lab.data.damage import TooMuchDamage
from aimv2_lab.fields import UnknownName
from aimv2_lab.recipes import RIVALS, AnyRecipe, PretrainingRecipe, Recipe, RivalRecipe, recipe, rival
from aimv2_lab.recipes.mixtures import placed
from aimv2_lab.training.engine import Engine
from aimv2_lab.training.lost_ranks import RESUME, ended_with_the_others
from aimv2_lab.training.ranks import ALONE, RankFailed, Ranks, launched
from aimv2_lab.training.run.stopping import STOPPED, Preempted

RecipeT = TypeVar("RecipeT", bound=AnyRecipe)
LaunchedRecipe = PretrainingRecipe | RivalRecipe


@dataclasses.dataclass(frozen=True)
class Options:
    """A recipe, its data and its run folder. `--recipe NAME` (default tiny) picks the preset whose fields follow;
    launch.pretrain's `--rival NAME` has a rival objective in its place, on its encoder, data and training."""

    recipe: Annotated[LaunchedRecipe, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands]
    data: str = ""
    """Pairs to train on: a folder or file (WebDataset .tar/.tar.xz, Parquet, image folder with metadata.jsonl), a hub
    data set's name, world:PRESET, or a .json file that lists several as data.mixture does: [{"source": …, "weight":
    30}, …], or the folder in which the recipe's own mixture has its folders. Default: the recipe's data."""
    run: Path | None = None
    """The run folder. An existing run is never overwritten."""
    resume: bool = False
    """Go on from the newest checkpoint of the run folder, or start if it holds no run."""


def read_command(arguments: Sequence[str], program: str, rivals: bool = False) -> Options:
    """The options of a command line: the preset named by --recipe, or where `rivals` may be named the one named by
    --rival in its place, on the data named by --data, with the fields set beside them.

    Raises ValueError for a rival of a recipe that is not AIMv2's.
    """
    preset: LaunchedRecipe
    preset, rest = named_preset(arguments)
    if rivals:
        preset, rest = _rival(preset, rest)
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--data", default="")
    named, rest = own.parse_known_args(rest)  # first, because columns can be set of one source but not of a mixture
    default = Options(with_data(preset, named.data) if named.data else preset, named.data)
    usage = f"python -m aimv2_lab.launch.{program} [--recipe NAME]{' [--rival NAME]' if rivals else ''}"
    return tyro.cli(Options, default=default, args=rest, prog=usage, console_outputs=speaks())


def named_preset(arguments: Sequence[str]) -> tuple[PretrainingRecipe, list[str]]:
    """The preset that --recipe names, by default tiny, and the other arguments."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--recipe", default="tiny")
    own.add_argument("--local_rank")  # deepspeed's launcher adds it to what it puts in the environment
    named, rest = own.parse_known_args(arguments)
    return recipe(named.recipe), rest


def _rival(known: PretrainingRecipe, arguments: Sequence[str]) -> tuple[LaunchedRecipe, list[str]]:
    """The recipe of the objective that --rival names, the one known where nothing does, and the other arguments."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--rival", choices=RIVALS)
    named, rest = own.parse_known_args(arguments)
    if named.rival is None:
        return known, rest
    if not isinstance(known, Recipe):
        raise ValueError(f"--rival {named.rival} with --recipe {known.name}: rivals are made of AIMv2's recipes")
    return rival(named.rival, known), rest


def with_data(known: RecipeT, data: str) -> RecipeT:
    """A recipe that reads what `--data` names: one source, a .json file of several, or the folder of its own mixture.

    A folder that holds every folder of the recipe's mixture is where that mixture is looked for; one that holds none of
    them is one source, in the mixture's place, which is said. Raises ValueError for a folder that holds some of them.
    """
    changed: Callable[[dict[str, Any]], RecipeT] = known.change  # type: ignore[assignment]
    if data.endswith(".json"):
        return changed({"data.mixture": read_mixture(data)})
    folders = [part.source for part in known.data.mixture]
    missing = sorted({folder for folder in folders if not Path(data).expanduser().joinpath(folder).exists()})
    if folders and not missing:
        return changed({"data.mixture": placed(known.data.mixture, data)})
    if len(missing) < len(set(folders)):
        raise ValueError(
            f"{data} holds no {' and no '.join(missing)} beside the other folders of the recipe's mixture: make them "
            "(docs/data.md), or list the sources that there are, with their weights, in a .json file"
        )
    if folders:
        print(f"{data} is read as one source, in place of the mixture of {known.name}", file=sys.stderr)
    return changed({"data.source": data})


def read_mixture(file: str) -> list[Any]:
    """The sources that a JSON file lists; raises ValueError where it holds no list."""
    parts = json.loads(Path(file).expanduser().read_text())
    if not isinstance(parts, list) or not parts:
        raise ValueError(f'{file} must list sources: [{{"source": "…", "weight": 30}}, …]')
    return parts


def train_as_launched(train: Callable[..., Engine], recipe: AnyRecipe, run: Path, resume: bool) -> Engine:
    """Train, with `pretrain` or `finetune`, on the plain engine, or on DeepSpeed's where a launcher has started this
    process, which then ends where another rank dies."""
    if not launched():
        return train(recipe, run, resume)
    from aimv2_lab.training.sharded.engine import DeepSpeedEngine  # takes seconds

    with launched_ranks() as ranks:
        return train(recipe, run, resume, ranks, partial(DeepSpeedEngine, log=run / "deepspeed.log"))


@contextmanager
def launched_ranks(go_on: str = RESUME) -> Iterator[Ranks]:
    """Those that a launcher has started, of which none outlives another in the block; else this process alone."""
    if not launched():
        yield ALONE
        return
    from aimv2_lab.training.sharded.engine import start_ranks  # takes seconds

    ranks = start_ranks()
    with ended_with_the_others(ranks, go_on):
        yield ranks


def end_plainly(command: Callable[[], None], go_on: str = RESUME) -> None:
    """Run a command; bad input ends with one line that says what to do, not with a traceback.

    `go_on` is what to do after an interruption. Of several ranks that fail together, the first one speaks; one that
    fails alone speaks for itself.
    """
    try:
        command()
    except Preempted as stop:
        if speaks():
            print(f"Preempted: {stop}", file=sys.stderr)
        sys.exit(STOPPED)
    except RankFailed as error:
        sys.exit(str(error) if speaks() else 1)
    except ConnectionError as error:  # which names the rank
        sys.exit(str(error))
    except (UnknownName, ValueError, OSError, FloatingPointError, TooMuchDamage, ImportError) as error:
        alone = distributed.is_initialized()  # what ranks that have met fail of together is RankFailed
        sys.exit(f"{type(error).__name__}: {error}" if speaks() or alone else 1)
    except torch.OutOfMemoryError as error:  # a rank that has met it cannot tell the others
        need = ". ".join(str(error).split(". ")[:3]).rstrip(".")  # how much, and of what; the rest is torch's advice
        sys.exit(
            f"rank {os.environ.get('RANK', 0)}: {need}. Lower training.micro_batch_size, raise engine.zero_stage, or "
            "set engine.activation_checkpointing True: --resume allows it. aimv2_lab.launch.plan says what fits"
        )
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "/gloo/" not in str(error):  # gloo has no error of its own
            raise
        sys.exit(f"rank {os.environ.get('RANK', 0)} lost the others, one may have died: {str(error).splitlines()[0]}")
    except KeyboardInterrupt:
        sys.exit(f"interrupted; {go_on}" if speaks() else 1)


def speaks() -> bool:
    """Whether this process is the one whose words are shown: the first rank, or the only process."""
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"
