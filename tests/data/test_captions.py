"""Captions: clean ones true, noisy ones wrong at the set rate, all of them readable back to what they record."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from aimv2_lab.data.captions import (
    Caption,
    Fact,
    alt_caption,
    attribute_facts,
    facts_of,
    false_facts,
    lexicon,
    parse_facts,
    reading,
    relation_facts,
    synthetic_caption,
    words,
)
from aimv2_lab.data.world import WORLDS, Scene, make_scene
from aimv2_lab.data.world.scene import generator

PRESETS = sorted(WORLDS)
VIEWS = {"synthetic": synthetic_caption, "alt": alt_caption}


def captions(preset: str, view: str, count: int, **changes: object) -> list[tuple[Scene, Caption]]:
    settings = replace(WORLDS[preset], **changes)  # type: ignore[arg-type]
    made = [make_scene(settings, 0, "train", index) for index in range(count)]
    return [(scene, VIEWS[view](scene, settings, generator(0, "train", i, 2))) for i, scene in enumerate(made)]


@pytest.mark.parametrize("view", sorted(VIEWS))
@pytest.mark.parametrize("preset", PRESETS)
def test_reading_a_caption_gives_what_it_records(preset: str, view: str) -> None:
    for _, caption in captions(preset, view, 300, caption_noise=0.3):
        read = parse_facts(caption.text)
        assert read.unparsable == 0, caption.text
        assert read.phrases == len(caption.mentions)
        assert len(set(caption.mentions)) == len(caption.mentions)
        objects = dict(enumerate(caption.mentions))
        assert sorted(fact.of(objects).canonical() for fact in read.facts) == list(caption.facts), caption.text


@pytest.mark.parametrize("preset", PRESETS)
def test_clean_captions_state_only_what_is_true(preset: str) -> None:
    for scene, caption in captions(preset, "synthetic", 300, caption_noise=0.9):
        assert set(caption.facts) <= set(facts_of(scene))
        assert caption.facts


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.75])
def test_clean_captions_state_the_set_share_of_facts(rate: float) -> None:
    made = captions("easy", "synthetic", 600, caption_fact_rate=rate)
    stated = sum(len(caption.facts) for _, caption in made)
    assert stated / len(made) == pytest.approx(7 * rate, rel=0.04)  # three attributes each and one relation
    kinds = Counter(fact.kind for _, caption in made for fact in caption.facts)
    assert all(kinds[kind] == pytest.approx(2 * rate * 600, rel=0.25) for kind in ("shape", "colour", "size"))


def test_at_rate_one_everything_nameable_is_said() -> None:
    for scene, caption in captions("easy", "synthetic", 50, caption_fact_rate=1.0):
        nameable = [*attribute_facts(scene, 0), *attribute_facts(scene, 1), *relation_facts(scene, 0, 1)]
        named = {fact for fact in nameable if fact.kind != "fill" and fact.value not in ("larger than", "smaller than")}
        assert set(caption.facts) == named
        assert len(named) == 7


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_every_mentioned_object_is_described(view: str) -> None:
    for _, caption in captions("rich", view, 300):
        described = {fact.subject for fact in caption.facts if fact.kind not in ("relation", "count")}
        assert set(caption.mentions) == described, caption.text


def test_wording_varies_and_meaning_does_not() -> None:
    settings = replace(WORLDS["easy"], caption_fact_rate=1.0)
    scene = make_scene(settings, 0, "train", 0)
    made = [synthetic_caption(scene, settings, generator(0, "train", i, 2)) for i in range(100)]
    assert len({caption.text for caption in made}) > 40
    assert len({caption.facts for caption in made}) == 1
    assert {caption.mentions for caption in made} == {(0, 1), (1, 0)}


@pytest.mark.parametrize("noise", [0.0, 0.15, 1.0])
def test_alt_texts_are_wrong_at_the_set_rate(noise: float) -> None:
    made = captions("rich", "alt", 1200, caption_noise=noise)
    stated = sum(len(caption.facts) for _, caption in made)
    wrong = sum(len(false_facts(caption.facts, scene)) for scene, caption in made)
    assert wrong / stated == pytest.approx(noise, abs=0.02 if 0 < noise < 1 else 0)


def test_alt_texts_are_short_and_carry_unrelated_words() -> None:
    made = [caption.text for _, caption in captions("rich", "alt", 300)]
    clean = [caption.text for _, caption in captions("rich", "synthetic", 300)]
    length = [sum(len(text.split()) for text in texts) / 300 for texts in (made, clean)]
    assert length[0] < 0.4 * length[1]
    with_distractors = sum(bool(set(text.replace(",", "").split()) & set(lexicon.DISTRACTORS)) for text in made)
    assert 150 < with_distractors < 300


def test_easy_captions_are_short_and_have_no_noise() -> None:
    longest = max(len(caption.text.replace(".", " .").split()) for _, caption in captions("easy", "synthetic", 500))
    assert longest <= 25
    assert WORLDS["easy"].caption_noise == WORLDS["easy"].alt_share == 0


@pytest.mark.parametrize("view", sorted(VIEWS))
@pytest.mark.parametrize("preset", PRESETS)
def test_captions_use_the_lexicon_only(preset: str, view: str) -> None:
    known = set(words())
    for _, caption in captions(preset, view, 100):
        assert set(caption.text.replace(".", " .").replace(",", " ,").split()) <= known


def test_the_ground_is_never_named() -> None:
    """Swapping the ground under a scene leaves its captions alone."""
    settings = WORLDS["separating"]
    first, second = (make_scene(settings, 0, "train", index) for index in (0, 1))
    moved = replace(first, ground=second.ground)
    assert synthetic_caption(first, settings, generator(0, "train", 0, 2)) == synthetic_caption(
        moved, settings, generator(0, "train", 0, 2)
    )


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("a red circle.", [Fact("colour", "red", 0), Fact("shape", "circle", 0)]),
        ("A Red CIRCLE", [Fact("colour", "red", 0), Fact("shape", "circle", 0)]),
        ("an orange thing", [Fact("colour", "orange", 0)]),
        ("a thing", []),
        ("a star above a bar.", [Fact("shape", "star", 0), Fact("shape", "bar", 1), Fact("relation", "above", 0, 1)]),
        (
            "under a star there is a bar.",
            [Fact("shape", "star", 0), Fact("shape", "bar", 1), Fact("relation", "above", 0, 1)],
        ),
        (
            "a star is right of and above a bar",
            [
                Fact("shape", "star", 0),
                Fact("shape", "bar", 1),
                Fact("relation", "left of", 1, 0),
                Fact("relation", "above", 0, 1),
            ],
        ),
        ("a big thing with the letter t", [Fact("size", "large", 0), Fact("mark", "glyph t", 0)]),
        (
            "a thing with a dot above a star",
            [Fact("mark", "one dot", 0), Fact("shape", "star", 1), Fact("relation", "above", 0, 1)],
        ),
        (
            "there are three shapes. a star and a bar",
            [Fact("count", "three"), Fact("shape", "star", 0), Fact("shape", "bar", 1)],
        ),
        ("hd, new big star photo", [Fact("size", "large", 0), Fact("shape", "star", 0)]),
        ("", []),
        (" . , ", []),
    ],
)
def test_texts_mean_what_they_should(text: str, facts: list[Fact]) -> None:
    read = parse_facts(text)
    assert sorted(read.facts) == sorted(facts)
    assert read.unparsable == 0


@pytest.mark.parametrize(
    "text",
    [
        "a red blue circle",  # two colours
        "a red red circle",
        "a circle red",
        "a red",
        "a star above",
        "above a star",
        "a star is a bar",
        "a star a bar",
        "a star with red",
        "three",
        "and a star",
        "a star and",
        "a zebra",
        "a star above a bar and a circle",
        "unknown",
    ],
)
def test_what_is_not_a_caption_is_one_unreadable_clause(text: str) -> None:
    assert parse_facts(text) == reading.ParsedCaption((), 0, 1)
    mixed = parse_facts(f"a heart. {text}. a cross.")
    assert mixed.facts == (Fact("shape", "heart", 0), Fact("shape", "cross", 1))
    assert (mixed.phrases, mixed.unparsable) == (2, 1)


def test_no_phrase_has_two_meanings() -> None:
    tables = [*lexicon.ATTRIBUTE_WORDS.values(), lexicon.RELATION_PHRASES]
    for table in tables:
        phrases = [phrase for meaning in table.values() for phrase in meaning]
        assert len(set(phrases)) == len(phrases)
    before_noun = [
        word
        for kind in ("size", "fill", "colour", "shape")
        for p in lexicon.ATTRIBUTE_WORDS[kind].values()
        for word in p
    ]
    others = [
        *lexicon.GENERIC_NOUNS,
        *lexicon.DISTRACTORS,
        *lexicon.NUMBER_WORDS,
        "and",
        "with",
        "is",
        "there",
        "a",
        "an",
    ]
    assert len({*before_noun, *others}) == len(before_noun) + len(others)


def test_relations_are_one_fact_from_either_side() -> None:
    assert Fact("relation", "below", 2, 1).canonical() == Fact("relation", "above", 1, 2)
    assert Fact("relation", "same colour as", 2, 1).canonical() == Fact("relation", "same colour as", 1, 2)
    assert Fact("relation", "left of", 2, 1).canonical() == Fact("relation", "left of", 2, 1)
    scene = make_scene(WORLDS["rich"], 0, "train", 1)
    assert len(scene.objects) > 2
    for a in range(3):
        for b in range(3):
            assert a == b or relation_facts(scene, a, b) == relation_facts(scene, b, a)


def test_facts_of_a_known_scene() -> None:
    scene = make_scene(WORLDS["easy"], 0, "train", 0)  # a large purple circle left of a small pink square
    large, small = (next(i for i, o in enumerate(scene.objects) if o.size == size) for size in ("large", "small"))
    said = {(f.kind, f.value, f.subject, f.other) for f in facts_of(scene)}
    assert said == {
        ("count", "two", -1, -1),
        ("shape", "circle", large, -1),
        ("colour", "purple", large, -1),
        ("size", "large", large, -1),
        ("fill", "solid", large, -1),
        ("shape", "square", small, -1),
        ("colour", "pink", small, -1),
        ("size", "small", small, -1),
        ("fill", "solid", small, -1),
        ("relation", "left of", large, small),
        ("relation", "larger than", large, small),
    }
