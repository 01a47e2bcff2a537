"""The tables of both papers that are repeated in miniature: what is compared with what, and the papers' numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aimv2_lab.recipes.probing import ProbeKind


@dataclass(frozen=True)
class Row:
    """One line of a table: which variant, under which probe, and what the paper has there, column by column.

    `unverified` numbers are known second-hand, without the paper's table in view.
    """

    label: str
    variant: str
    paper: tuple[float, ...] = ()
    probe: ProbeKind = "attentive"
    unverified: bool = False


@dataclass(frozen=True)
class Ablation:
    """A table: its rows, the label of the one that the others are compared with, and the paper's columns, in per cent.

    Rows without numbers are our additions. All rows have seen as many pairs, unless `alike` says FLOPs.
    """

    title: str
    source: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    default: str
    alike: str = "pairs"

    @property
    def default_row(self) -> Row:
        """The row that the others are compared with."""
        return next(row for row in self.rows if row.label == self.default)


_TABLE_9 = ("IN-1k", "VQAv2", "TextVQA")
_AIM = ("linear", "attentive")

ABLATIONS: Mapping[str, Ablation] = {
    "objective": Ablation(
        "Objective",
        "AIMv2, Table 9a",
        _TABLE_9,
        (
            Row("AIMv2", "aimv2", (85.6, 76.9, 37.5)),
            Row("image only", "image-only", (72.0, 65.4, 12.7)),
            Row("caption only, prefix", "caption-only", (85.4, 76.8, 36.5)),
            Row("caption only, bidirectional", "caption-only-bidirectional", (85.1, 76.2, 34.4)),
            Row("CapPa", "cappa", (84.7, 75.1, 30.6)),
            Row("CLIP", "clip", (84.6, 74.1, 24.6)),
            Row("SigLIP", "siglip"),
            Row("masked image", "masked-image"),
            Row("untrained", "untrained"),
        ),
        "AIMv2",
    ),
    "equal-flops": Ablation(
        "Objective, at equal FLOPs",
        "our addition to Table 9a",
        (),
        (
            Row("AIMv2", "aimv2"),
            Row("image only", "image-only-flops"),
            Row("caption only, prefix", "caption-only"),  # within 3 % of AIMv2's
            Row("CapPa", "cappa-flops"),
            Row("CLIP", "clip-flops"),
            Row("SigLIP", "siglip-flops"),
            Row("masked image", "masked-image-flops"),
        ),
        "AIMv2",
        "FLOPs",
    ),
    "batch-size": Ablation(
        "Batch size",
        "AIMv2, Table 9b (8k and 16k there, 16 and 64 here)",
        _TABLE_9,
        (
            Row("AIMv2, small", "aimv2", (85.6, 76.9, 37.5)),
            Row("AIMv2, large", "aimv2-large-batches"),
            Row("CapPa, small", "cappa", (84.7, 75.1, 30.6)),
            Row("CapPa, large", "cappa-large-batches"),
            Row("CLIP, small", "clip", (84.6, 74.1, 24.6)),
            Row("CLIP, large", "clip-large-batches", (85.2, 74.8, 26.3)),
        ),
        "AIMv2, small",
    ),
    "pixel-weight": Ablation(
        "Weight of the pixel loss",
        "AIMv2, Table 9c",
        _TABLE_9,
        (
            Row("0 (caption only)", "caption-only"),
            Row("0.2", "pixel-weight-0.2", (85.6, 76.7, 37.4)),
            Row("0.4", "aimv2", (85.6, 76.9, 37.5)),
            Row("0.6", "pixel-weight-0.6", (85.6, 76.7, 37.4)),
            Row("1", "pixel-weight-1"),
        ),
        "0.4",
    ),
    "decoders": Ablation(
        "Separate or joint decoder",
        "AIMv2, Table 9d",
        _TABLE_9,
        (Row("joint", "aimv2", (85.6, 76.9, 37.5)), Row("separate", "separate-decoders", (85.6, 77.1, 37.2))),
        "joint",
    ),
    "decoder-width": Ablation(
        "Width of the decoder",
        "AIMv2, Table 9e (512, 1024, 1536 there)",
        _TABLE_9,
        (
            Row("48", "decoder-width-48", (85.3, 76.2, 35.9)),
            Row("96", "aimv2", (85.6, 76.9, 37.5)),
            Row("144", "decoder-width-144", (85.1, 76.9, 36.9)),
        ),
        "96",
    ),
    "decoder-depth": Ablation(
        "Depth of the decoder",
        "AIMv2, Table 9f (8, 12, 16 there)",
        _TABLE_9,
        (
            Row("1", "decoder-depth-1", (85.5, 76.7, 37.0)),
            Row("2", "aimv2", (85.6, 76.9, 37.5)),
            Row("4", "decoder-depth-4", (85.6, 76.9, 36.6)),
        ),
        "2",
    ),
    "attention": Ablation(
        "Attention in pre-training of AIMv2, probed bidirectionally",
        "our addition: neither paper has it",
        (),
        (
            Row("prefix", "aimv2"),
            Row("causal", "aimv2-causal"),
            Row("bidirectional (captions alone)", "caption-only-bidirectional"),
        ),
        "prefix",
    ),
    "attention-fine": Ablation(
        "The same with patches of 4 pixels, 64 a picture",
        "our addition: neither paper has it",
        (),
        (Row("prefix, 64 patches", "aimv2-fine"), Row("causal, 64 patches", "aimv2-fine-causal")),
        "prefix, 64 patches",
    ),
    "probe": Ablation(
        "Probe",
        "AIM v1, section 4 (attentive above linear in every row)",
        (),
        tuple(
            Row(f"{label}, {kind}", variant, probe=kind)
            for label, variant in (("AIMv2", "aimv2"), ("AIM v1", "aim"), ("caption only", "caption-only"))
            for kind in ("attentive", "linear", "neighbours")
        ),
        "AIMv2, attentive",
    ),
    "aim-attention": Ablation(
        "Attention in pre-training of AIM v1, probed bidirectionally",
        "AIM v1, Table 3",
        _AIM,
        (
            Row("prefix, attentive", "aim", (70.0, 78.2)),
            Row("causal, attentive", "aim-causal", (30.9, 52.3), unverified=True),
        ),
        "prefix, attentive",
    ),
    "aim-attention-linear": Ablation(
        "The same, probed linearly",
        "AIM v1, Table 3",
        _AIM,
        (
            Row("prefix, linear", "aim", (70.0, 78.2), "linear"),
            Row("causal, linear", "aim-causal", (30.9, 52.3), "linear", unverified=True),
        ),
        "prefix, linear",
    ),
    "aim-targets": Ablation(
        "Targets of AIM v1",
        "AIM v1, Table 3",
        _AIM,
        (
            Row("normalised pixels", "aim", (70.0, 78.2)),
            Row("raw pixels", "aim-raw-targets", (67.5, 76.2), unverified=True),
        ),
        "normalised pixels",
    ),
    "aim-head": Ablation(
        "Head of AIM v1",
        "AIM v1, Table 3",
        _AIM,
        (Row("MLP", "aim", (70.0, 78.2)), Row("none", "aim-no-head", (64.0, 75.4))),
        "MLP",
    ),
    "aim-shape": Ablation(
        "Width and depth of AIM v1's trunk at equal parameters",
        "AIM v1, Table 3",
        _AIM,
        (
            Row("wide (96 x 3)", "aim", (70.0, 78.2)),
            Row("deep (64 x 7)", "aim-deep", (68.8, 77.9), unverified=True),
        ),
        "wide (96 x 3)",
    ),
    "aim-order": Ablation(
        "Order of the patches, causal attention",
        "AIM v1, Table 3",
        _AIM,
        (
            Row("raster", "aim-causal", (69.5, 77.4)),
            Row("spiral", "aim-spiral", (67.7, 76.3)),
            Row("checkerboard", "aim-checkerboard", (68.2, 76.0)),
            Row("random", "aim-random", (65.8, 75.7)),
        ),
        "raster",
    ),
    "aim-crops": Ablation(
        "Least share of a picture that a crop keeps",
        "AIM v1, Table 3",
        _AIM,
        (
            Row("0.08", "aim-crops-0.08", (68.4, 77.7)),
            Row("0.4", "aim-crops-0.4", (70.0, 78.2)),
            Row("1", "aim", (49.6, 63.5)),
        ),
        "0.4",
    ),
}
