"""Judged facts add up to the score of the whole, and name what is true instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aimv2_lab.data.captions import synthetic_caption
from aimv2_lab.data.world import WORLDS, Scene, make_scene
from aimv2_lab.data.world.scene import generator
from aimv2_lab.evaluation.fact_kinds import (
    JudgedFact,
    confusion,
    direction_parts,
    judge_caption,
    judge_captions,
    score_by_kind,
)
from aimv2_lab.evaluation.facts import FactScore, score_caption

LARGE, SMALL = "shape of a large object", "shape of a small object"
COLOURS = [JudgedFact("colour", "red", "red"), JudgedFact("colour", "blue", "blue")]


def two() -> Scene:
    """A large red circle above a small blue square."""
    base = make_scene(WORLDS["easy"], 0, "train", 0)
    circle = replace(base.objects[0], size="large", colour="red", shape="circle", x=0.5, y=0.3)
    square = replace(base.objects[0], size="small", colour="blue", shape="square", x=0.5, y=0.8)
    return replace(base, objects=(circle, square))


@pytest.mark.parametrize(
    ("text", "judged"),
    [
        ("a red bar.", [JudgedFact("colour", "red", "red"), JudgedFact(LARGE, "bar", "circle")]),
        ("a blue cross.", [JudgedFact("colour", "blue", "blue"), JudgedFact(SMALL, "cross", "square")]),
        (
            "a blue thing above a red thing.",
            [*COLOURS, JudgedFact("direction", "above", "below")],
        ),
        (
            "a red thing left of a blue thing.",
            [*COLOURS, JudgedFact("direction", "left of", "above")],
        ),
        ("a green thing.", [JudgedFact("colour", "green", None)]),
        ("nonsense.", []),
    ],
)
def test_known_captions_of_a_known_scene(text: str, judged: list[JudgedFact]) -> None:
    assert sorted(judge_caption(text, two())) == sorted(judged)


def test_the_kinds_add_up_to_the_score_of_the_whole() -> None:
    settings = replace(WORLDS["easy"], caption_fact_rate=0.8)
    scenes = [make_scene(settings, 0, "validation", index) for index in range(60)]
    texts = [synthetic_caption(s, settings, generator(0, "validation", i, 2)).text for i, s in enumerate(scenes)]
    for shown in (scenes, [*scenes[1:], scenes[0]]):  # their own scenes, then others
        for text, scene in zip(texts, shown, strict=True):
            judged, score = judge_caption(text, scene), score_caption(text, scene)
            assert (sum(fact.right for fact in judged), len(judged)) == (score.true, score.stated), text
    assert all(score.true_share == 1 for score in score_by_kind(judge_captions(texts, scenes)).values())


def test_directions_are_taken_apart() -> None:
    facts = [
        JudgedFact("direction", "left of", "right of"),
        JudgedFact("direction", "above", "above"),
        JudgedFact("direction", "left of", "above"),
        JudgedFact("colour", "red", "blue"),
    ]
    parts = direction_parts(facts)
    assert parts == {"direction: the axis": FactScore(2, 3), "direction: the side": FactScore(1, 2)}


def test_confusions_count_true_rows_and_said_columns() -> None:
    facts = [JudgedFact("size", "small", "large")] * 2 + [JudgedFact("size", "small", "small")]
    assert confusion([*facts, JudgedFact("size", "small", None)], "size", ["small", "large"]) == [[1, 0], [2, 0]]


def test_numbers_must_agree() -> None:
    with pytest.raises(ValueError, match="1 captions for 2 scenes"):
        judge_captions(["a star."], [two(), two()])
