"""The boxes of the system's picture, each with the notebook that builds it and the file it lives in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """One box of the picture: its name there, what happens in it, the notebook that builds it, its file."""

    name: str
    happens: str
    notebook: str  # its number, also the box's badge
    file: str  # path in the repository


# The one-page map: the picture takes names and badges from here, README and notebook 00 their table.
BOXES = (
    Box(
        "picture, caption",
        "a pair is read or rendered, cropped, normalised; the caption becomes tokens",
        "01",
        "aimv2_lab/data/batches.py",
    ),
    Box(
        "patches", "the picture is cut into I patches of K values, in raster order", "02", "aimv2_lab/model/patches.py"
    ),
    Box(
        "prefix attention",
        "a random prefix of M patches sees itself both ways, later patches see what came before",
        "03",
        "aimv2_lab/model/masks.py",
    ),
    Box(
        "Vision encoder",
        "patches are projected, given positions and passed through the blocks: one feature vector each",
        "04",
        "aimv2_lab/model/encoder.py",
    ),
    Box(
        "Multimodal decoder",
        "projected features, a start vector and the caption form one causal sequence",
        "06",
        "aimv2_lab/model/decoder.py",
    ),
    Box("pixel head", "every image slot predicts the values of the next patch", "06", "aimv2_lab/model/decoder.py"),
    Box("text head", "every text slot predicts the next token", "06", "aimv2_lab/model/decoder.py"),
    Box(
        "pixel loss",
        "squared error on standardised patches, counted behind the prefix only",
        "07",
        "aimv2_lab/model/objective.py",
    ),
    Box("caption loss", "cross-entropy of every token that is no padding", "07", "aimv2_lab/model/objective.py"),
    Box("AIMv2", "all of it, trained together: loss, gradients, one update", "08", "aimv2_lab/training/step.py"),
)
