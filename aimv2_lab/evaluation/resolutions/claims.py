"""What the comparison of resolutions is asked, and what is said of the answers, held against the numbers.

Every claim is a paired difference of two of what was trained, each seen in a view. The words are written by hand, and
nothing is shown unless it agrees with the stored runs: `answered` raises where it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from aimv2_lab.evaluation.ablations.comparing import Side, side_of
from aimv2_lab.evaluation.ablations.verdicts import Verdict, agreement
from aimv2_lab.evaluation.probing.opening import SEEN
from aimv2_lab.evaluation.probing.scores import Interval
from aimv2_lab.evaluation.resolutions.comparing import Runs, Seen, difference

# Table 6 of the paper: ImageNet-1k top-1 of an attentive probe, by what was trained and what it was tested at.
TABLE_6: Mapping[str, Mapping[str, float]] = {
    "low-sincos-continued": {"low": 86.6, "high": 84.8},
    "high-sincos": {"low": 78.9, "high": 87.9},
    "native": {"low": 86.1, "high": 87.1, "native": 87.3},
}
LONG, SQUARE = "2.4 to 3", "up to 1.25"  # names of `RATIOS`


@dataclass(frozen=True)
class Claim:
    """How much more the first has than the second on a test set, or has gained `since` another view; in the paper,
    `stated` points."""

    seen: Seen
    against: Seen
    test: str = SEEN
    since: str = ""

    @property
    def stated(self) -> float | None:
        """The paper's difference in points, from its Table 6; None where that lacks one of the two."""
        here, there = (TABLE_6.get(one.trained, {}).get(one.view) for one in (self.seen, self.against))
        return None if here is None or there is None or self.test != SEEN or self.since else round(here - there, 1)


class Reading(NamedTuple):
    """What the numbers say of a claim, and a sentence that goes on from there."""

    word: Verdict | Side
    because: str


class Answer(NamedTuple):
    """A claim's difference, and what it says."""

    difference: Interval
    word: Verdict | Side


LOW_AT_LOW, LOW_AT_HIGH = Seen("low-sincos-continued", "low"), Seen("low-sincos-continued", "high")
HIGH_AT_HIGH, TABLE_AT_HIGH = Seen("high-sincos", "high"), Seen("high", "high")
NATIVE_AT_OWN = Seen("native", "native")

# By group and name. "The size" is the side of a square, or of one with the same area.
CLAIMS: Mapping[str, Mapping[str, Claim]] = {
    "Table 6": {
        "at the low size: trained there, against trained high": Claim(LOW_AT_LOW, Seen("high-sincos", "low")),
        "at the high size: trained there, against trained low": Claim(HIGH_AT_HIGH, LOW_AT_HIGH),
        "at the low size: native, against trained there": Claim(Seen("native", "low"), LOW_AT_LOW),
        "at the high size: native, against trained there": Claim(Seen("native", "high"), HIGH_AT_HIGH),
        "native at the pictures' own ratio, against the high one": Claim(NATIVE_AT_OWN, HIGH_AT_HIGH),
        "native: own ratio, against the high square": Claim(NATIVE_AT_OWN, Seen("native", "high")),
    },
    "aspect ratio": {
        "nearly square pictures: native, against squashed": Claim(NATIVE_AT_OWN, HIGH_AT_HIGH, SQUARE),
        "the longest pictures: native, against squashed": Claim(NATIVE_AT_OWN, HIGH_AT_HIGH, LONG),
        "the longest pictures: cropped, against squashed": Claim(Seen("high-sincos", "cropped"), HIGH_AT_HIGH, LONG),
        "the longest pictures, at their own ratio: native, against trained on squares": Claim(
            NATIVE_AT_OWN, Seen("high-sincos", "native"), LONG
        ),
    },
    "positions": {
        "from the low to the high size without training: a sine-cosine code, against a resized table": Claim(
            LOW_AT_HIGH, Seen("low-continued", "high"), since="low"
        ),
        "trained high: a sine-cosine code, against a resized table": Claim(HIGH_AT_HIGH, TABLE_AT_HIGH),
    },
    "going on": {
        "weight decay 0.0001, against 0": Claim(Seen("high-decay", "high"), TABLE_AT_HIGH),
        "weight decay 0.001, against 0": Claim(Seen("high-strong-decay", "high"), TABLE_AT_HIGH),
        "padding seen, against masked": Claim(Seen("native-seen-padding", "native"), NATIVE_AT_OWN),
    },
}

# TO BE CORRECTED from the stored runs: `answered` names what does not agree.
READINGS: Mapping[str, Reading] = {
    "at the low size: trained there, against trained high": Reading(
        "shows", "the size trained at last is the one that the encoder reads best."
    ),
    "at the high size: trained there, against trained low": Reading(
        "shows", "resized positions let it run, but four times the patches are four times what it has practised on."
    ),
    "at the low size: native, against trained there": Reading(
        "does not show", "half a point in the paper is less than three seeds of a toy can tell apart."
    ),
    "at the high size: native, against trained there": Reading(
        "does not show", "the same holds at the high size: one encoder for all sizes costs little at any of them."
    ),
    "native at the pictures' own ratio, against the high one": Reading(
        "shows the opposite", "this world has pictures up to three times as long as high, the paper's test set few."
    ),
    "native: own ratio, against the high square": Reading(
        "shows", "an encoder that never saw a squashed picture loses by meeting one."
    ),
    "nearly square pictures: native, against squashed": Reading(
        "not told apart", "there is hardly anything to squash."
    ),
    "the longest pictures: native, against squashed": Reading(
        "above", "what squashing does to shapes and marks is undone."
    ),
    "the longest pictures: cropped, against squashed": Reading(
        "below", "what is cut off cannot be read, and captions name it all the same."
    ),
    "weight decay 0.0001, against 0": Reading(
        "not told apart",
        "1,600 steps are few; the paper calls decay 0 important for stability, without numbers.",
    ),
    "weight decay 0.001, against 0": Reading("not told apart", "even ten times as much moves nothing that we can see."),
    "padding seen, against masked": Reading(
        "not told apart", "pictures of one area leave little padding, and zeros at the end are soon learned."
    ),
    "the longest pictures, at their own ratio: native, against trained on squares": Reading(
        "above", "a code for any grid is not yet practice with it."
    ),
    "from the low to the high size without training: a sine-cosine code, against a resized table": Reading(
        "not told apart", "stretched or continued, neither was ever trained on."
    ),
    "trained high: a sine-cosine code, against a resized table": Reading(
        "not told apart", "once trained at the size, either kind serves."
    ),
}


def claims_of(group: str) -> tuple[Claim, ...]:
    """The claims of a group."""
    return tuple(CLAIMS[group].values())


def answer(runs: Runs, claim: Claim) -> Answer:
    """What the runs say of a claim: the verdict on the paper's difference, or where it has none, the side."""
    found = difference(runs, claim.seen, claim.against, test=claim.test, since=claim.since)
    side = side_of(found)
    return Answer(found, agreement(claim.stated, side) or side)


def answered(
    runs: Runs, group: str, readings: Mapping[str, Reading] = READINGS
) -> Mapping[str, tuple[Claim, Answer, Reading]]:
    """The claims of a group with answers and readings; raises ValueError where a reading says another thing than the
    numbers do."""
    found = {name: (claim, answer(runs, claim), readings[name]) for name, claim in CLAIMS[group].items()}
    wrong = [
        f"{name}: written {said.word!r}, measured {true.word!r}"
        for name, (_, true, said) in found.items()
        if said.word != true.word
    ]
    if wrong:
        raise ValueError(f"{group}: {'; '.join(wrong)}; correct it in evaluation/resolutions/claims.py")
    return found
