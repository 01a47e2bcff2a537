"""Scoring captions: true ones earn everything, wrong ones lose exactly what is wrong."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from aimv2_lab.data.captions import facts_of, parse_facts, synthetic_caption
from aimv2_lab.data.world import WORLDS, Scene, make_scene
from aimv2_lab.data.world.scene import generator
from aimv2_lab.evaluation.facts import FactScore, chance_scores, score_caption, score_captions


def scene_of(*things: tuple[str, str, str, float, float]) -> Scene:
    """A scene of objects given as (size, colour, shape, x, y)."""
    base = make_scene(WORLDS["easy"], 0, "train", 0)
    plain = base.objects[0]
    made = (replace(plain, size=z, colour=c, shape=s, x=x, y=y) for z, c, s, x, y in things)
    return replace(base, objects=tuple(made))


# A large red circle above a small blue square.
TWO = scene_of(("large", "red", "circle", 0.5, 0.3), ("small", "blue", "square", 0.5, 0.8))


@pytest.mark.parametrize(
    ("text", "true", "stated"),
    [
        ("a large red circle above a small blue square.", 7, 7),
        ("below a large red circle there is a small blue square.", 7, 7),
        ("a red square above a blue circle.", 3, 5),  # colours swapped
        ("a small blue square above a large red circle.", 6, 7),  # roles swapped
        ("a red circle left of a blue square.", 4, 5),
        ("a large blue square.", 2, 3),
        ("a green star.", 0, 2),
        ("a red circle and a red circle.", 2, 4),  # one object cannot be two
        ("a red circle. a red circle.", 2, 4),
        ("a green star and a red circle and a blue square.", 4, 6),  # the phrase of no object takes none away
        ("a thing and a thing and a thing.", 0, 0),
        ("a thing above a thing.", 1, 1),
        ("a red thing larger than a thing.", 2, 2),
        ("a red thing of the same colour as a thing.", 1, 2),
        ("there are two objects.", 1, 1),
        ("there are three objects.", 0, 1),
        ("a red circle red.", 0, 1),
        ("nonsense. a red circle. above.", 2, 4),
        ("", 0, 0),
    ],
)
def test_known_captions_of_a_known_scene(text: str, true: int, stated: int) -> None:
    assert score_caption(text, TWO) == FactScore(true, stated)


def test_the_matching_is_chosen_for_the_caption_as_a_whole() -> None:
    """Two red things: only the one on the right is above something, so the phrase must mean that one."""
    scene = scene_of(
        ("large", "red", "circle", 0.2, 0.8), ("large", "red", "star", 0.7, 0.2), ("small", "blue", "bar", 0.7, 0.8)
    )
    assert score_caption("a large red thing above a blue bar.", scene) == FactScore(5, 5)
    assert score_caption("a red circle above a blue bar.", scene) == FactScore(4, 5)


@pytest.mark.parametrize("preset", sorted(WORLDS))
def test_true_captions_earn_everything_and_those_of_other_scenes_do_not(preset: str) -> None:
    settings = replace(WORLDS[preset], caption_fact_rate=0.8)
    scenes = [make_scene(settings, 0, "validation", index) for index in range(100)]
    made = [synthetic_caption(s, settings, generator(0, "validation", i, 2)) for i, s in enumerate(scenes)]
    texts = [caption.text for caption in made]
    score = score_captions(texts, scenes)
    assert score.true_share == 1
    assert (score.stated, score.captions) == (sum(len(caption.facts) for caption in made), 100)
    assert score.facts_per_caption == score.stated / 100
    assert chance_scores(texts, scenes).true_share < 0.6
    assert chance_scores(texts, scenes) == score_captions([*texts[1:], texts[0]], scenes)


def test_the_search_finds_what_trying_everything_finds() -> None:
    settings = replace(WORLDS["rich"], n_objects=(4, 4))
    scenes = [make_scene(settings, 0, "train", index) for index in range(12)]
    for i, told in enumerate(scenes):
        text = synthetic_caption(told, settings, generator(0, "train", i, 2)).text
        shown = scenes[(i + 1) % len(scenes)]
        parsed, true = parse_facts(text), set(facts_of(shown))
        numbers = [*range(4), *[-1 - n for n in range(4)]]  # negative: no object
        best = max(
            sum(
                fact.of(dict(enumerate(order))).canonical() in true if fact.kind != "count" else fact in true
                for fact in parsed.facts
            )
            for order in permutations(numbers, parsed.phrases)
        )
        assert score_caption(text, shown) == FactScore(best, len(parsed.facts))


def test_swapped_words_are_always_caught() -> None:
    """In easy scenes both colours and both shapes differ, so a swap is never true."""
    settings = replace(WORLDS["easy"], caption_fact_rate=1.0)
    for index in range(60):
        scene = make_scene(settings, 0, "train", index)
        first, second = scene.objects
        text = synthetic_caption(scene, settings, generator(0, "train", index, 2)).text
        for a, b in ((first.colour, second.colour), (first.shape, second.shape)):
            swapped = [{a: b, b: a}.get(word, word) for word in text.removesuffix(".").split()]
            score = score_caption(" ".join(swapped), scene)
            assert score.true < score.stated == 7


def test_nothing_stated_is_no_success() -> None:
    score = score_captions(["", "a thing."], [TWO, TWO])
    assert score == FactScore(0, 0, 2)
    assert (score.true_share, score.facts_per_caption) == (0, 0)


def test_long_nonsense_is_scored_without_delay() -> None:
    scene = make_scene(replace(WORLDS["rich"], n_objects=(6, 6)), 0, "train", 0)
    text = ". ".join(["a small red thing above a large blue thing"] * 8)
    assert score_caption(text, scene).stated == 40


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="1 captions for 2 scenes"):
        score_captions(["a star."], [TWO, TWO])
    with pytest.raises(ValueError, match="at least two"):
        chance_scores(["a star."], [TWO])
