"""A guess is kept, judged and scored; one made after the result is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from aimv2_lab.lessons.predictions import Prediction, read_scores, score

CHOICES = ["4", "6"]


def made(folder: Path, question: str, choice: str | None, sure: str = "a guess") -> Prediction:
    prediction = Prediction(question, CHOICES, folder / "scores.json")
    _, buttons, sureness, _ = prediction.children
    sureness.value = sure
    buttons.value = choice
    return prediction


def test_without_a_choice_the_result_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    prediction = made(tmp_path, "How many?", None)
    assert repr(prediction) == "[run this cell to choose: How many? 4 / 6]"
    assert repr(prediction.reveal("6")) == "○ no prediction made. The result: 6"
    assert not (tmp_path / "scores.json").exists()


def test_right_and_wrong_predictions_are_told_apart_and_scored(tmp_path: Path) -> None:
    assert repr(made(tmp_path, "one?", "6", "certain").reveal("6")).startswith("✓ as you predicted. The result: 6")
    assert repr(made(tmp_path, "two?", "4", "certain").reveal("6")).startswith("✗ you predicted '4'. The result: 6")
    made(tmp_path, "three?", "4").reveal("4")
    text = "your score: 2 of 3 right; certain: 1 of 2, calibrated would be 95%"
    assert score(tmp_path / "scores.json") == text


def test_a_choice_is_kept_at_once_and_may_change_until_the_result_is_out(tmp_path: Path) -> None:
    prediction = made(tmp_path, "How many?", "4")
    assert read_scores(tmp_path / "scores.json")["How many?"] == {"choice": "4", "sure": "a guess"}
    prediction.children[1].value = "6"
    assert repr(prediction.reveal("6")).startswith("✓")


def test_a_choice_after_the_result_is_not_counted(tmp_path: Path) -> None:
    prediction = made(tmp_path, "How many?", None)
    prediction.reveal("6")
    prediction.children[1].value = "6"
    assert "not counted" in prediction.children[3].value
    assert repr(prediction.reveal("6")).startswith("○") and read_scores(tmp_path / "scores.json") == {}


def test_a_wrong_first_guess_cannot_be_mended_after_the_result(tmp_path: Path) -> None:
    prediction = made(tmp_path, "How many?", "4")
    prediction.reveal("6")
    prediction.children[1].value = "6"
    prediction.reveal("6")
    assert read_scores(tmp_path / "scores.json")["How many?"]["right"] is False


def test_a_result_that_is_no_choice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'5' is none of the choices 4, 6"):
        made(tmp_path, "How many?", "4").reveal("5")


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("{")
    assert score(tmp_path / "scores.json") == "your score: no prediction decided yet"
