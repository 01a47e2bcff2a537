"""The fourteen sets that the paper probes its encoders on (Table B1), by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from aimv2_lab.fields import unknown_name
from aimv2_lab.recipes.probing import ProbeRecipe


@dataclass(frozen=True)
class ProbeSet:
    """A set of labelled pictures: how many it is trained and tested on, how many classes, and which part is the test.

    Counts are the paper's (Table B1). Which parts of a set it is trained and tested on is seen in their number, and is
    our reading; so is that Camelyon17, RxRx1 and fMoW are those of WILDS. The paper's table names no metric: it is the
    top-1 everywhere, and the mean per class is reported beside it.
    """

    name: str
    title: str
    train: int
    test: int
    classes: int
    tested_on: Literal["validation", "test"] = "test"
    trained_on: tuple[Literal["train", "validation"], ...] = ("train",)
    metric: Literal["top1", "mean_per_class"] = "top1"
    batch_size: int = 512
    warmup_epochs: int = 0

    def recipe(self, probe: ProbeRecipe) -> ProbeRecipe:
        """The probe's recipe for this set: ImageNet's batches are larger, and it alone is warmed up (Table A2)."""
        return replace(probe, batch_size=self.batch_size, warmup_epochs=self.warmup_epochs)

    def check(self, classes: int) -> None:
        """Raise ValueError where data have another number of classes."""
        if classes != self.classes:
            raise ValueError(
                f"{self.name} has {self.classes} classes (paper, Table B1), the data named have {classes}: name its "
                "folder in --data and the column of labels in --label-column"
            )


_ALL = (
    ProbeSet(
        "imagenet-1k", "ImageNet-1k", 1_281_167, 50_000, 1000, "validation", batch_size=1024, warmup_epochs=5
    ),
    ProbeSet("inaturalist-2018", "iNaturalist 2018", 437_513, 24_426, 8142, "validation"),
    ProbeSet("cifar-10", "CIFAR-10", 50_000, 10_000, 10),
    ProbeSet("cifar-100", "CIFAR-100", 50_000, 10_000, 100),
    ProbeSet("food-101", "Food-101", 75_750, 25_250, 101),
    ProbeSet("dtd", "Describable Textures", 3_760, 1_880, 47, trained_on=("train", "validation")),
    ProbeSet("pets", "Oxford-IIIT Pets", 3_680, 3_669, 37),  # its part "trainval"
    ProbeSet("cars", "Stanford Cars", 8_144, 8_041, 196),
    ProbeSet("camelyon17", "Camelyon17", 302_436, 34_904, 2, "validation"),
    ProbeSet("pcam", "PatchCamelyon", 262_144, 32_768, 2),
    ProbeSet("rxrx1", "RxRx1", 40_612, 9_854, 1139, "validation"),
    ProbeSet("eurosat", "EuroSAT", 16_200, 5_400, 10),
    ProbeSet("fmow", "fMoW", 76_863, 19_915, 62, "validation"),
    ProbeSet("infograph", "DomainNet Infograph", 36_023, 15_582, 345),
)  # fmt: skip
PROBE_SETS: dict[str, ProbeSet] = {found.name: found for found in _ALL}


def probe_set(name: str) -> ProbeSet:
    """The named set; raises UnknownName, a KeyError, with the nearest names."""
    if name not in PROBE_SETS:
        raise unknown_name("probe set", name, list(PROBE_SETS))
    return PROBE_SETS[name]
