"""Probing by several ranks, in one process each:  … -m tests.evaluation.probing.two_ranks FOLDER

FOLDER/RANK.pt gets what each rank found in every case: tensors, scores, or the error that it met, as text.
"""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aimv2_lab.data.damage import TooMuchDamage
from aimv2_lab.data.records import Pair
from aimv2_lab.evaluation.probing import cache
from aimv2_lab.evaluation.probing.cache import cached_features
from aimv2_lab.evaluation.probing.encoded import encoded_batches
from aimv2_lab.evaluation.probing.epochs import AugmentedEpochs
from aimv2_lab.evaluation.probing.pictures import LabelledPictures
from aimv2_lab.evaluation.probing.run import Storing, probe_encoder
from aimv2_lab.recipes.probing import ProbeRecipe
from aimv2_lab.training.ranks import ALONE, RankFailed, Ranks
from aimv2_lab.training.sharded.engine import start_ranks
from tests.data.generated import ListSource
from tests.evaluation.probing.small import SEEN, Parity, frozen, many_sizes, native, pictures

RECIPE = ProbeRecipe(
    learning_rates=(1e-3, 3e-2), weight_decays=(0.0, 0.1), epochs=3, batch_size=15, selection_share=0.2, augmented=True
)
# Batches of ten indices: five of each of two ranks, so that 0 … 4 are the first one's.
BATCHES = {
    "sound": (range(10), range(10, 17)),  # of seven, four and three
    "damaged on the first": (range(10),),
    "damaged on the second": (range(10),),
    "nothing of the second": (range(10),),
    "nothing at all": (range(10), range(10, 20)),
    "one picture": (range(3, 4),),
}
DAMAGED = {
    "damaged on the first": [1],
    "damaged on the second": [6, 7],
    "nothing of the second": [5, 6, 7, 8, 9],
    "nothing at all": range(10),
}


class Unreadable(ListSource):
    """Whose third picture and those behind it cannot be read here."""

    def __getitem__(self, index: int) -> Pair:
        if index >= 2:
            raise OSError(errno.EIO, "Input/output error")
        return super().__getitem__(index)


def batches_of(case: str, ranks: Ranks, workers: int = 0) -> list[tuple[Any, ...]]:
    """Everything of the case's batches."""
    listed = [np.array(list(numbers)) for numbers in BATCHES[case]]
    labelled = pictures(20, DAMAGED.get(case, ()))
    return [tuple(batch) for batch in encoded_batches(frozen(), labelled, listed, workers, ranks)]


def scores_of(folder: Path, recipe: ProbeRecipe, ranks: Ranks, workers: int = 0) -> dict[str, Any]:
    """A whole probing with a damaged picture in every part; its training pictures fill no whole number of shares."""
    train, test = pictures(61, damaged=(20,)), pictures(33, damaged=(2, 31))
    storing = Storing(folder, workers, encoder_batch=7, dtype="float32", damage_limit=0.5, ranks=ranks)
    pooled = recipe.kind != "attentive"
    return asdict(probe_encoder(frozen(pooled=pooled), train, {"test": test}, recipe, storing, seeds=(0, 1)))


def kept_of(folder: Path, ranks: Ranks) -> tuple[np.ndarray, torch.Tensor, Sequence[str]]:
    """Features that are kept."""
    found = cached_features(folder, frozen(), pictures(23, damaged=(4, 9)), 3, dtype="float32", ranks=ranks)
    return np.array(found.features), found.labels, found.damaged


def own_sizes_of(folder: Path, ranks: Ranks) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Pictures that keep their own sizes: their features, how many patches each has, and a whole probing."""
    labelled = many_sizes(23, damaged=(4, 9))
    found = cached_features(folder / "kept", native(), labelled, 3, dtype="float32", damage_limit=0.5, ranks=ranks)
    storing = Storing(folder, encoder_batch=7, dtype="float32", damage_limit=0.5, ranks=ranks)
    recipe = replace(RECIPE, augmented=False)
    scores = asdict(probe_encoder(native(), labelled, {"test": many_sizes(9)}, recipe, storing))
    return np.array(found.features), found.patch_counts, scores


def ended(action: Callable[[], object]) -> tuple[str, float]:
    """The error that ends an action, as text, and after how many seconds."""
    started = time.monotonic()
    with pytest.raises((RankFailed, ValueError, TooMuchDamage, OSError)) as error:
        action()
    return f"{error.type.__name__}: {error.value}", time.monotonic() - started


def errors_of(folder: Path, ranks: Ranks) -> dict[str, tuple[str, float]]:
    """What goes wrong on one of the ranks, or on both."""
    second = not ranks.is_first

    def kept(name: str, labelled: LabelledPictures) -> object:
        return cached_features(folder / name, frozen(), labelled, 3, ranks=ranks)

    def epochs(labelled: LabelledPictures) -> object:
        return list(AugmentedEpochs(frozen(), labelled, RECIPE, 0, 0, 0.01, ranks)(0))

    sound = pictures(30)
    broken = replace(sound, source=Unreadable(30)) if second else sound
    failing = frozen()
    if second:
        failing.encoder.blocks[0].register_forward_hook(lambda *_: int("x"))
    loud = frozen()
    loud.encoder.norm.weight.data.mul_(1e6)
    damaged = LabelledPictures(ListSource(200, range(3, 200, 10)), Parity(), SEEN)
    found = {
        "unreadable": ended(lambda: epochs(broken)),
        "unreadable, kept": ended(lambda: kept("unreadable", broken)),
        "encoder": ended(lambda: cached_features(folder / "encoder", failing, sound, 3, ranks=ranks)),
        "too loud": ended(lambda: cached_features(folder / "loud", loud, sound, 3, ranks=ranks)),
        "damage": ended(lambda: epochs(damaged)),
        "damage, kept": ended(lambda: kept("damage", damaged)),
        "whole batch": ended(lambda: epochs(pictures(4, damaged=range(4)))),
        "nothing, kept": ended(lambda: kept("nothing", pictures(4, damaged=range(4)))),
    }
    with pytest.MonkeyPatch.context() as patch:
        if second:
            patch.setattr(cache, "_read", lambda *_: int("not seen here"))
        found["not shared"] = ended(lambda: kept("shared", sound))
    return found


def main(folder: Path) -> None:
    """Every case, in the same order on all ranks; the first rank also finds what one process does."""
    ranks = start_ranks()
    both = {"ranks": ranks} | ({"alone": ALONE} if ranks.is_first else {})
    kinds = {"paper": RECIPE, "kept": replace(RECIPE, augmented=False), "linear": replace(RECIPE, kind="linear")}
    kinds["neighbours"] = ProbeRecipe("neighbours", neighbours=5)
    found: dict[str, Any] = {"errors": errors_of(folder, ranks)}
    for who, of in both.items():
        found[who] = {
            "batches": {case: batches_of(case, of) for case in BATCHES},
            "loaders": batches_of("damaged on the second", of, workers=1),
            "kept": kept_of(folder / f"kept by {who}", of),
            "own sizes": own_sizes_of(folder / f"own sizes by {who}", of),
            "scores": {name: scores_of(folder / f"{name} by {who}", recipe, of) for name, recipe in kinds.items()},
        }
    torch.save(found, folder / f"{ranks.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
