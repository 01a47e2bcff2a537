"""Predict, then run: a guess before the result, and a private score of how good and how sure your guesses were.

    guess = predict("Where does the loss end?", ["near 0", "near 1"])
    guess                      # shows buttons; the next cells compute the result
    guess.reveal("near 1")     # what came out, beside what you said

Guesses are kept in `.predictions.json` beside the notebook, which git ignores; nobody but you reads it. Delete it to
start anew. A choice made after the result was revealed is not counted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ipywidgets

from aimv2_lab.lessons.widgets import Interactive

SCORES = Path(".predictions.json")  # in the notebook's folder, where its kernel runs
SURENESS = {"a guess": None, "rather sure": 0.75, "certain": 0.95}  # what such answers should come true in


class Prediction(Interactive):
    """A question with buttons for the choices and for how sure you are."""

    def __init__(self, question: str, choices: list[str], scores: Path = SCORES) -> None:
        self.question, self.choices, self.scores = question, choices, scores
        self._revealed = False
        self._choice = ipywidgets.ToggleButtons(options=choices, value=None, style={"button_width": "auto"})
        self._sure = ipywidgets.ToggleButtons(options=list(SURENESS), value="a guess", style={"button_width": "auto"})
        self._note = ipywidgets.Label("Choose before you run on.")
        for buttons in (self._choice, self._sure):
            buttons.observe(self._chosen, names="value")
        text = f"[run this cell to choose: {question} {' / '.join(choices)}]"
        title = ipywidgets.HTML(f"<b>{question}</b>")
        super().__init__(text, [title, self._choice, self._sure, self._note])

    def _chosen(self, _: object) -> None:
        if self._choice.value is None:
            return
        late = " The result is out already, so this one is not counted." if self._revealed else ""
        self._note.value = f"Your prediction: {self._choice.value} ({self._sure.value}).{late}"
        if not self._revealed:
            self._keep({"choice": self._choice.value, "sure": self._sure.value})

    def _keep(self, entry: dict[str, Any]) -> None:
        self.scores.write_text(json.dumps({**read_scores(self.scores), self.question: entry}, indent=1) + "\n")

    def reveal(self, right: str) -> Revealed:
        """What came out, beside what was predicted, and the score so far. Raises ValueError for no choice of it."""
        if right not in self.choices:
            raise ValueError(f"{right!r} is none of the choices {', '.join(self.choices)}")
        said = None if self._revealed else self._choice.value
        self._revealed = True
        if said is None:
            return Revealed(f"○ no prediction made. The result: {right}")
        self._keep({"choice": said, "sure": self._sure.value, "right": said == right})
        verdict = "✓ as you predicted" if said == right else f"✗ you predicted {said!r}"
        return Revealed(f"{verdict}. The result: {right}\n{score(self.scores)}")


class Revealed:
    """A line of text, shown as the value of a cell."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def predict(question: str, choices: list[str]) -> Prediction:
    """Ask for a guess before the next cells show the result; make it a cell's last value."""
    return Prediction(question, choices)


def read_scores(scores: Path = SCORES) -> dict[str, Any]:
    """Every prediction kept so far, by question; a file that cannot be read counts as none."""
    try:
        return dict(json.loads(scores.read_text()))
    except (OSError, ValueError):
        return {}


def score(scores: Path = SCORES) -> str:
    """How many predictions came true, and how many of those you were sure of: a calibrated reader's shares agree."""
    decided = [entry for entry in read_scores(scores).values() if "right" in entry]
    if not decided:
        return "your score: no prediction decided yet"
    parts = [f"{sum(e['right'] for e in decided)} of {len(decided)} right"]
    for name, share in SURENESS.items():
        of_kind = [entry["right"] for entry in decided if entry["sure"] == name]
        if of_kind and share is not None:
            parts.append(f"{name}: {sum(of_kind)} of {len(of_kind)}, calibrated would be {share:.0%}")
    return "your score: " + "; ".join(parts)
