"""What the papers trained on, as shares of public sources: the mixtures that the full-scale presets carry.

The folders are those that docs/data.md makes, seen from the folder that `--data` names, or from the working folder.
"""

from __future__ import annotations

from dataclasses import replace

from aimv2_lab.recipes.data import DataRecipe, MixturePart

_RECAPTIONED = "json.re_caption"  # of Recap-DataComp-1B, by another model than the paper's captions: our choice
_DFN, _COYO, _DATACOMP, _IMAGENET = "./dfn/shards", "./coyo/shards", "./datacomp_1b/shards", "./imagenet"


def _part(name: str, source: str, weight: int, synthetic_share: float = 0.0) -> MixturePart:
    synthetic = _RECAPTIONED if synthetic_share else ""
    return MixturePart(source, weight, name, synthetic_column=synthetic, synthetic_share=synthetic_share)


# Paper, Table 2: of every hundred pairs 30, 30, 9, 28 and 3. A folder listed twice gives each kind of text its exact
# share. HQITP is not public: DataComp-1B stands in for it, which is our choice.
AIMV2_MIXTURE = (
    _part("dfn-alt", _DFN, 30),
    _part("dfn-synthetic", _DFN, 30, 1.0),
    _part("coyo-alt", _COYO, 9),
    _part("hqitp-alt", _DATACOMP, 28),
    _part("hqitp-synthetic", _DATACOMP, 3, 1.0),
)


def without_synthetic(data: DataRecipe) -> DataRecipe:
    """The same data without synthetic captions, as a higher resolution is adapted to (paper, section 2.4).

    Parts of a mixture that are there for synthetic captions alone, with a share of 1, are left out; that what is left
    keeps its shares is our reading. Elsewhere the column of synthetic captions is no more read. Raises ValueError where
    no part is left.
    """
    kept = [part for part in data.mixture if not part.synthetic_column or part.synthetic_share < 1]
    if data.mixture and not kept:
        raise ValueError("every part of data.mixture is there for synthetic captions alone: name one with others")
    mixture = tuple(replace(part, synthetic_column="", synthetic_share=0.0) for part in kept)
    return replace(data, mixture=mixture, synthetic_column="", synthetic_share=0.0)


# 30 to 9 to 28.
ADAPTATION_MIXTURE = without_synthetic(DataRecipe(mixture=AIMV2_MIXTURE)).mixture

# AIM v1, its pre-training data ("DFN-2B+"): 0.8 and 0.2. No captions are read.
AIMV1_MIXTURE = (_part("dfn", _DFN, 4), _part("imagenet-1k", _IMAGENET, 1))


def placed(mixture: tuple[MixturePart, ...], root: str) -> tuple[MixturePart, ...]:
    """The mixture with its relative folders (those that begin with a dot) looked for in `root`."""
    return tuple(
        replace(part, source=f"{root.rstrip('/')}/{part.source.removeprefix('./')}")
        if part.source.startswith(".")
        else part
        for part in mixture
    )
