"""What the papers trained on, as shares of public sources: the mixtures that the full-scale presets carry.

The folders are those that docs/data.md makes, seen from the folder that `--data` names, or from the working folder.
"""

from __future__ import annotations

from dataclasses import replace

from aimv2_lab.recipes.data import MixturePart

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

# Paper, section 2.4: the same without synthetic captions. That what is left keeps its shares, 30 to 9 to 28, is our
# reading.
ADAPTATION_MIXTURE = tuple(part for part in AIMV2_MIXTURE if not part.synthetic_share)

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
