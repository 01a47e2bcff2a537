"""What the tables say, in words: for every row its verdict, written by hand and held against the numbers, and why.

Nothing here is shown unless it agrees with the stored runs: `check_reading` raises where it does not. What is said to
be a cause was not tested unless a table of its own shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aimv2_lab.evaluation.ablations.comparing import Measured
from aimv2_lab.evaluation.ablations.tables import Ablation
from aimv2_lab.evaluation.ablations.verdicts import verdict


@dataclass(frozen=True)
class Reading:
    """By label of every row but the default: the verdict on the paper's difference, or where the paper has none, the
    side on which the row lies; and a sentence that goes on from there."""

    rows: Mapping[str, str]
    because: str


def computed_reading(table: Ablation, rows: Sequence[Measured]) -> dict[str, str]:
    """What the numbers say of every row but the default, in a reading's words."""
    return {one.row.label: verdict(table, one) or one.clear() for one in rows if one.differences is not None}


def check_reading(table: Ablation, rows: Sequence[Measured], reading: Reading) -> None:
    """Raise ValueError where a reading says another thing of a row than the numbers do."""
    found = computed_reading(table, rows)
    if found != dict(reading.rows):
        wrong = {label: (reading.rows.get(label), found.get(label)) for label in {**found, **reading.rows}}
        parts = [
            f"{label}: written {said!r}, measured {true!r}" for label, (said, true) in wrong.items() if said != true
        ]
        raise ValueError(f"{table.title}: {'; '.join(parts)}; correct it in evaluation/ablations/readings.py")


READINGS: Mapping[str, Reading] = {
    "objective": Reading(
        {
            "image only": "shows",
            "caption only, prefix": "shows",
            "caption only, bidirectional": "shows",
            "CapPa": "shows",
            "CLIP": "shows",
            "SigLIP": "below",
            "masked image": "below",
            "untrained": "below",
        },
        "no half asks for everything: pictures alone never ask for a faint mark, captions alone never for the "
        "ground or a place; and what pairs a picture with a caption needs only what tells 16 captions apart.",
    ),
    "equal-flops": Reading(
        {
            "image only": "not told apart",
            "caption only, prefix": "below",
            "CapPa": "below",
            "CLIP": "below",
            "SigLIP": "below",
            "masked image": "not told apart",
        },
        "cheaper steps help those who count pixels: with as many as AIMv2's cost pays for, image only and masked "
        "images come within what three seeds can tell. To captions alone, more of the same brings little. The paper "
        "compares at equal pairs alone.",
    ),
    "batch-size": Reading(
        {
            "AIMv2, large": "below",
            "CapPa, small": "shows",
            "CapPa, large": "below",
            "CLIP, small": "shows",
            "CLIP, large": "shows",
        },
        "as many pairs in larger batches are a quarter of the updates, which a run of 1,600 steps cannot "
        "spare; in the paper CLIP's batches are five hundred times ours, and the gain of larger ones is what "
        "its two rows show.",
    ),
    "pixel-weight": Reading(
        {
            "0 (caption only)": "below",
            "0.2": "not told apart",
            "0.6": "not told apart",
            "1": "not told apart",
        },
        "between 0.2 and 0.6 the paper's own rows differ by a tenth of a point; only without pixels something "
        "is lost, and that is P.",
    ),
    "decoders": Reading(
        {
            "separate": "not told apart",
        },
        "the paper's two rows are a tie as well, so its reason for one joint decoder is that it is simpler.",
    ),
    "decoder-width": Reading(
        {
            "48": "does not show",
            "144": "does not show",
        },
        "the paper's differences are half a point to a point, about what three seeds of this toy can tell apart.",
    ),
    "decoder-depth": Reading(
        {
            "1": "does not show",
            "4": "does not show",
        },
        "the paper's differences, 0.3 points each, are below what three seeds of this toy can tell apart.",
    ),
    "attention": Reading(
        {
            "causal": "not told apart",
            "bidirectional (captions alone)": "below",
        },
        "with 16 patches and three blocks, opening a causal mask after training costs an encoder little: clearly on "
        "P, not on the mean. Bidirectional attention leaves no patch to predict, so it has lost its pixels.",
    ),
    "attention-fine": Reading(
        {
            "causal, 64 patches": "not told apart",
        },
        "with four times the patches every seed favours the prefix, and P clearly does; the mean's interval reaches "
        "across zero by little, which is why it was asked again.",
    ),
    "probe": Reading(
        {
            "AIMv2, linear": "below",
            "AIMv2, neighbours": "below",
            "AIM v1, attentive": "below",
            "AIM v1, linear": "below",
            "AIM v1, neighbours": "below",
            "caption only, attentive": "below",
            "caption only, linear": "below",
            "caption only, neighbours": "below",
        },
        "what a feature holds and what lies open in it are two things: the attentive probe may choose among "
        "patches, the linear one gets their mean, neighbours may not even weigh its numbers.",
    ),
    "aim-attention": Reading(
        {
            "causal, attentive": "does not show",
        },
        "with 16 patches and three blocks, opening the mask after training changes an encoder little; the "
        "paper's loss of 26 points is that of 256 patches and a deep trunk, and its number is known to us "
        "second-hand.",
    ),
    "aim-attention-linear": Reading(
        {
            "causal, linear": "does not show",
        },
        "the same holds for the mean of the patches, without an attentive probe's help.",
    ),
    "aim-targets": Reading(
        {
            "raw pixels": "does not show",
        },
        "the paper's two points are less than three seeds of this toy can tell apart, and its pictures, noise on "
        "flat grounds, give standardised targets little to gain (notebook 02).",
    ),
    "aim-head": Reading(
        {
            "none": "shows",
        },
        "without a head the trunk's last blocks have to do the head's work: they turn into pixels, and away "
        "from what a probe can read.",
    ),
    "aim-shape": Reading(
        {
            "deep (64 x 7)": "does not show",
        },
        "the deep trunk is lower under every seed, but three seeds leave an interval that is wider than the "
        "difference.",
    ),
    "aim-order": Reading(
        {
            "spiral": "shows",
            "checkerboard": "shows",
            "random": "shows",
        },
        "a causal order decides what can be known: in raster order most of a patch's surroundings come before it.",
    ),
    "aim-crops": Reading(
        {
            "0.08": "does not show",
            "1": "shows the opposite",
        },
        "here a crop moves the edges that places are measured from and hides objects, while on photographs it "
        "keeps a model from learning 1.3 million pictures by heart; this world has 12,000, and the runs see "
        "each about twice.",
    ),
}
