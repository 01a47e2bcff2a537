"""Captions of scenes: a clean, full view and a short, noisy one, each with the record of what it states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aimv2_lab.data.captions.facts import INVERSES, NUMBERS, Fact, attribute_facts, relation_facts
from aimv2_lab.data.captions.lexicon import ATTRIBUTE_WORDS, DISTRACTORS
from aimv2_lab.data.captions.writer import Writer
from aimv2_lab.data.world.scene import Scene
from aimv2_lab.data.world.settings import WorldSettings


@dataclass(frozen=True)
class Caption:
    """A text and what it says: `mentions` are the scene's object numbers in the order of their noun phrases, `facts`
    the statements about them, canonical. An alt text's facts may be false (`facts.false_facts` tells which)."""

    text: str
    mentions: tuple[int, ...]
    facts: tuple[Fact, ...]


def synthetic_caption(scene: Scene, settings: WorldSettings, draw: np.random.Generator) -> Caption:
    """A correct caption in whole sentences that states `caption_fact_rate` of the nameable facts, drawn at random.

    Objects are paired at random; nameable are all attributes, the relations within pairs, and the count where it
    varies. What is stated, in which order, template and words is drawn from `draw`. Our own construction.
    """
    pairs = _pairs(len(scene.objects), draw)
    nameable = _nameable(scene, settings, pairs)
    stated = draw_facts(nameable, settings.caption_fact_rate, draw)
    writer = Writer(stated, draw)
    sentences = [writer.pair(*pair) for pair in pairs]
    count = [fact for fact in stated if fact.kind == "count"]
    if count:
        sentences.insert(0, writer.count(count[0].value))
    return Caption(" ".join(f"{s}." for s in sentences if s), tuple(writer.mentions), tuple(sorted(stated)))


def alt_caption(scene: Scene, settings: WorldSettings, draw: np.random.Generator) -> Caption:
    """A short text such as web pages carry: one or two objects, few facts, no sentences, unrelated words around.

    Each stated fact is replaced by a false one with probability `caption_noise`.
    """
    pair = _pairs(len(scene.objects), draw)[0]
    nameable = [fact for fact in _nameable(scene, settings, [pair]) if fact.kind not in ("count", "fill")]
    said = [
        _falsified(fact, scene, settings, draw) if draw.random() < settings.caption_noise else fact
        for fact in draw_facts(nameable, settings.caption_fact_rate / 2, draw)
    ]
    stated = list(dict.fromkeys(fact.canonical() for fact in said))
    writer = Writer(stated, draw)
    pieces = [writer.terse(*pair)]
    for _ in range(int(draw.integers(3))):
        pieces.insert(int(draw.integers(len(pieces) + 1)), DISTRACTORS[int(draw.integers(len(DISTRACTORS)))])
    text = (" " if draw.random() < 0.5 else ", ").join(pieces)
    return Caption(text, tuple(writer.mentions), tuple(sorted(stated)))


def _pairs(count: int, draw: np.random.Generator) -> list[tuple[int, ...]]:
    """Object numbers in random order, two by two; an odd one out stands alone."""
    order = [int(i) for i in draw.permutation(count)]
    return [tuple(order[i : i + 2]) for i in range(0, count, 2)]


def _nameable(scene: Scene, settings: WorldSettings, pairs: Sequence[tuple[int, ...]]) -> list[Fact]:
    """The facts a caption with these pairs may state: a fact that is the same in every scene is not one of them."""
    facts = [Fact("count", NUMBERS[len(scene.objects) - 1])] if settings.n_objects[0] < settings.n_objects[1] else []
    for pair in pairs:
        attributes = [fact for i in pair for fact in attribute_facts(scene, i)]
        facts += [fact for fact in attributes if fact.kind != "fill" or len(settings.fills) > 1]
        if len(pair) == 2:
            facts += [fact for fact in relation_facts(scene, *pair) if fact.value in settings.relations]
    return facts


def draw_facts(nameable: Sequence[Fact], rate: float, draw: np.random.Generator) -> list[Fact]:
    """A random subset with `rate` (0 … 1) of the facts that may be named, rounded at random, and at least one.

    Redrawn until every object that a stated relation mentions also has a stated attribute: a caption never says "a
    thing above a thing". `nameable` must allow for that.
    """
    number = max(int(rate * len(nameable) + draw.random()), 1)
    while True:
        stated = [nameable[i] for i in draw.permutation(len(nameable))[:number]]
        described = {fact.subject for fact in stated if fact.kind != "relation"}
        if all({fact.subject, fact.other} <= described for fact in stated if fact.kind == "relation"):
            return stated


def _falsified(fact: Fact, scene: Scene, settings: WorldSettings, draw: np.random.Generator) -> Fact:
    """A false fact of the same kind about the same objects."""
    if fact.kind == "relation":
        true = {f.seen_from(fact.subject).value for f in relation_facts(scene, fact.subject, fact.other)}
        said = [v for v in INVERSES if v in settings.relations or INVERSES[v] in settings.relations]
        others = [value for value in said if value not in true]
    else:
        choices = {"shape": settings.shapes, "colour": settings.colours, "size": settings.sizes, "mark": settings.marks}
        others = [value for value in choices[fact.kind] if value != fact.value]
        others = others or [value for value in ATTRIBUTE_WORDS[fact.kind] if value != fact.value]
    return replace(fact, value=others[int(draw.integers(len(others)))])
