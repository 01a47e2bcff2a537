"""Probe a frozen encoder on labelled pictures:

    python -m aimv2_lab.launch.probe --encoder runs/small --data FOLDER --probe attentive

`--encoder` is all that `aimv2_lab.load_encoder` reads. `--probe` is attentive, linear or neighbours (features computed
once), paper (Table A2: augmented pictures, encoded anew in every epoch) or aim-v1 (the mean of six blocks). `--data` is
what launch.finetune takes; of a generated world, `--data world:separating`, every factor is probed, and combinations
that training never shows are scored apart. `--set NAME` is one of the fourteen sets of Table B1. A native encoder is
probed on pictures of their own sizes, scenes in the area of its `image_size`; `--image-size` cuts them to one, which
augmented probes (paper, aim-v1) need. Every field of the probe's recipe can be set, e.g. `--epochs 20`. Scores go to
OUT/probe.json and OUT/probe.png.

Under a launcher all ranks encode, each its share of every batch, and the scores are those of one process to rounding:
torchrun --standalone --nproc_per_node 8 -m -- aimv2_lab.launch.probe --encoder runs/small --data FOLDER --probe paper
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from torch import distributed

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.data.transforms import pixel_scale
from aimv2_lab.evaluation.probing.cache import FeatureType
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.probing.opening import Probed, check_set, open_factors, open_labelled
from aimv2_lab.evaluation.probing.pictures import at_size
from aimv2_lab.evaluation.probing.results import ProbeScores
from aimv2_lab.evaluation.probing.run import Storing, probe_encoder
from aimv2_lab.fields import build
from aimv2_lab.formats.load import load_encoder, load_preprocessing
from aimv2_lab.launch.command import end_plainly, launched_ranks, read_mixture, speaks
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import CLASSES, DataRecipe
from aimv2_lab.recipes.data import CLIP_MEAN, CLIP_STD
from aimv2_lab.recipes.probe_sets import PROBE_SETS, ProbeSet, probe_set
from aimv2_lab.recipes.probing import PROBES, ProbeRecipe, probe_recipe
from aimv2_lab.report.probe_results import FIGURE, SCORES, lines, refuse_overwriting, write_scores
from aimv2_lab.training.ranks import ALONE, Ranks
from aimv2_lab.training.run.agreement import code_digest
from aimv2_lab.training.run.folder import environment

PROGRAM = "python -m aimv2_lab.launch.probe"
GO_ON = "give the command again: features that were computed whole are kept"


@dataclass(frozen=True)
class ProbeOptions:
    """An encoder, labelled pictures, a probe, and where its scores go."""

    recipe: Annotated[ProbeRecipe, tyro.conf.arg(name="")]
    encoder: str
    """What `aimv2_lab.load_encoder` reads."""
    data: str
    """Labelled pictures, as launch.finetune takes them."""
    test: Literal["validation", "test"] = "validation"
    """The split that scores are of. Validation is held out of the training pictures where the data have none."""
    label_column: str = ""
    """Where the labels are. Default: a column of a usual name (cls, label, class …)."""
    image_column: str = ""
    """Where the pictures are. Default: a column of a usual name."""
    seeds: tuple[int, ...] = (0,)
    """Several give intervals. They draw first weights, order and augmentation."""
    out: Path = Path("runs/probe")
    """Where the scores go. An existing result is never overwritten."""
    features: Path = Path("runs/features")
    """Where features are kept, each kind in a folder of its own name; remove them when you are done."""
    feature_type: FeatureType = "float16"
    """Of the kept features."""
    image_size: int | None = None
    """Pixels a side of what is cut out of a picture, if not the encoder's own. Default for a native encoder: every
    picture whole, at its own size."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """That the encoder computes in."""
    device: str = ""
    """Default: a GPU where there is one; of several ranks each takes its own."""
    encoder_batch: int = 64
    """Pictures that a rank encodes at a time, where their features are kept."""
    workers: int = 0
    """Processes of a rank that decode pictures."""
    damage_limit: float = 0.01
    """The share of pictures that may be unusable."""


def read_options(arguments: Sequence[str]) -> tuple[ProbeOptions, ProbeSet | None]:
    """The options of a command line: the probe named by --probe, for the set named by --set, and the fields set beside
    them."""
    own = argparse.ArgumentParser(
        prog=PROGRAM,
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help="--encoder" not in " ".join(arguments),
    )
    own.add_argument("--encoder", required=True)
    own.add_argument("--data", required=True)
    own.add_argument("--probe", default="attentive", help=", ".join(PROBES))
    own.add_argument("--set", default="", help=", ".join(PROBE_SETS))
    own.add_argument("--local_rank", help=argparse.SUPPRESS)  # deepspeed's launcher adds it
    named, rest = own.parse_known_args(arguments)
    known = probe_set(named.set) if named.set else None
    found = probe_recipe(named.probe)
    default = ProbeOptions(known.recipe(found) if known else found, named.encoder, named.data)
    default = replace(default, test=known.tested_on) if known else default
    options = tyro.cli(ProbeOptions, default=default, args=rest, prog=PROGRAM, console_outputs=speaks())
    return options, known


def run_probe(
    options: ProbeOptions, known: ProbeSet | None = None, command: str = PROGRAM, ranks: Ranks = ALONE
) -> ProbeScores:
    """Probe on all ranks; the first one writes scores and figure, and prints what they say.

    Raises FileExistsError where there are some already, and RankFailed where ranks differ or one of them fails.
    """
    ranks.together(lambda: refuse_overwriting(options.out))
    started, recipe = time.perf_counter(), options.recipe
    frozen, probed = ranks.one_first(lambda: _opened(options, known, ranks))
    ranks.agree(ranks.together(lambda: _in_common(options, frozen, probed)))
    if known and ranks.is_first:
        test = len(probed.tests[options.test])
        print(f"{known.title}: {len(probed.train)} of {known.train} training pictures, {test} of {known.test} to test")
    loading = (options.workers, options.encoder_batch, options.feature_type, options.damage_limit)
    storing = Storing(options.features, *loading, ranks)
    found = probe_encoder(frozen, *probed, recipe, storing, options.seeds, known.metric if known else "top1")
    seconds = time.perf_counter() - started
    about = {"command": command, "seconds": round(seconds, 1), "ranks": ranks.size, "environment": environment()}
    about |= {"options": asdict(options), "set": asdict(known) if known else None}
    title = f"{recipe.kind} probe of {Path(options.encoder).name} on {Path(options.data).name}"
    ranks.on_first(lambda: write_scores(options.out, found, recipe, title, about))
    if ranks.is_first:
        for line in (*lines(found), f"{options.out / SCORES}, {options.out / FIGURE}; {seconds:.0f} s"):
            print(line)
    return found


def _opened(options: ProbeOptions, known: ProbeSet | None, ranks: Ranks) -> tuple[Frozen, Probed]:
    """What is read of the encoder, and the pictures."""
    recipe = options.recipe
    encoder, seen = _encoder(options, ranks)
    pooled = recipe.kind != "attentive"
    frozen = Frozen(encoder, pixel_scale(seen), recipe.layers, recipe.normed, pooled, options.precision)
    if options.data.startswith("world:"):
        if options.test != "validation":
            raise ValueError(f"test = {options.test!r} of {options.data}: a world has validation and held-out scenes")
        probed = open_factors(options.data, seen, image_size=encoder.recipe.image_size)
    else:
        trained_on = known.trained_on if known else ("train",)
        data = data_recipe(options)
        if known:
            data = replace(data, validation_share=0.0)  # its splits are its own: none is made by a hash
        probed = open_labelled(data, options.test, seen, trained_on, encoder.recipe.image_size)
    if known:
        check_set(known, probed)
    return frozen, probed


def _encoder(options: ProbeOptions, ranks: Ranks) -> tuple[VisionEncoder, Preprocessing]:
    """The encoder on its device, and what its pictures go through."""
    device = _device(options, ranks)
    encoder = load_encoder(options.encoder, image_size=options.image_size)
    try:
        seen = load_preprocessing(options.encoder)
    except FileNotFoundError:  # a file that lies alone
        seen = Preprocessing(CLIP_MEAN, CLIP_STD, encoder.recipe.image_size, encoder.recipe.image_size)
    return encoder.to(device), at_size(seen, options.image_size)


def _device(options: ProbeOptions, ranks: Ranks) -> str:
    """The device that is named; of several ranks the one that they have met with."""
    if ranks.size == 1:
        return options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if options.device:
        raise ValueError(
            f"--device {options.device} for {ranks.size} ranks: each takes its own GPU where there is one. "
            "Leave it out; DS_ACCELERATOR=cpu in the environment keeps them on the CPU"
        )
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"


def _in_common(options: ProbeOptions, frozen: Frozen, probed: Probed) -> dict[str, str]:
    """What must be the same on all ranks, by what it is called; the number of workers need not."""
    given = {f"--{field.name.replace('_', '-')}": repr(getattr(options, field.name)) for field in fields(options)}
    given["the probe's recipe"] = given.pop("--recipe")
    del given["--workers"]
    pictures = {name: part.fingerprint for name, part in {"training": probed.train, **probed.tests}.items()}
    return given | {
        "the code of aimv2_lab": code_digest(),
        "the version of torch": version("torch"),
        "the encoder's weights": frozen.digest,
        "the pictures": str(pictures),
    }


def data_recipe(options: ProbeOptions) -> DataRecipe:
    """Where the labelled pictures are; sources that a .json file lists are all read whole."""
    if not options.data.endswith(".json"):
        columns = (options.image_column, options.label_column)
        return DataRecipe(options.data, tokenizer=CLASSES, image_column=columns[0], caption_column=columns[1])
    if options.image_column or options.label_column:
        raise ValueError(f"{options.data} lists sources: name their columns there, as image_column and caption_column")
    parts = build(DataRecipe, {"tokenizer": CLASSES, "mixture": read_mixture(options.data)}, "field of a source")
    assert isinstance(parts, DataRecipe)
    return parts


def main() -> None:
    """Run the command line."""
    command = " ".join([PROGRAM, *sys.argv[1:]])

    def probe() -> None:
        options, known = read_options(sys.argv[1:])
        with launched_ranks(GO_ON) as ranks:
            run_probe(options, known, command, ranks)

    end_plainly(probe, GO_ON)


if __name__ == "__main__":
    main()
