"""Which kinds of facts captions get right, and what they say in place of the truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aimv2_lab.data.captions import Fact, facts_of, parse_facts
from aimv2_lab.data.world import Scene
from aimv2_lab.evaluation.facts import MOST_PHRASES, FactScore, best_match

DIRECTIONS = ("left of", "right of", "above", "below")


class JudgedFact(NamedTuple):
    """One stated fact: its `kind` ("colour", "size", "shape of a large object", "direction", …), what was `said`,
    and what is `true` of the same object or pair; None where the phrase fits no object."""

    kind: str
    said: str
    true: str | None

    @property
    def right(self) -> bool:
        """Whether the statement holds."""
        return self.said == self.true


def judge_caption(text: str, scene: Scene) -> list[JudgedFact]:
    """Every attribute and direction that a caption states, judged under the matching that `score_caption` uses.

    Counts, other relations and clauses that cannot be read are left out; of several true directions the first named
    in `DIRECTIONS` is given, unless the stated one is among them.
    """
    parsed, true = parse_facts(text), set(facts_of(scene))
    described = [fact for fact in parsed.facts if fact.kind != "count"]
    _, objects = best_match(described, min(parsed.phrases, MOST_PHRASES), len(scene.objects), true)
    judged = [_judge(fact.of(objects), scene, true) for fact in described]
    return [fact for fact in judged if fact is not None]


def _judge(fact: Fact, scene: Scene, true: set[Fact]) -> JudgedFact | None:
    """One fact about the scene's own object numbers, -1 for none."""
    if fact.kind == "relation":
        return _judge_direction(fact, true) if fact.value in DIRECTIONS else None
    if fact.subject < 0:
        return JudgedFact(fact.kind, fact.value, None)
    thing = scene.objects[fact.subject]
    kind = f"shape of a {thing.size} object" if fact.kind == "shape" else fact.kind
    return JudgedFact(kind, fact.value, getattr(thing, fact.kind))


def _judge_direction(fact: Fact, true: set[Fact]) -> JudgedFact:
    if fact.canonical() in true:
        return JudgedFact("direction", fact.value, fact.value)
    about = [
        other.seen_from(fact.subject).value
        for other in true
        if other.kind == "relation" and {other.subject, other.other} == {fact.subject, fact.other}
    ]
    return JudgedFact("direction", fact.value, next((value for value in DIRECTIONS if value in about), None))


def judge_captions(texts: Sequence[str], scenes: Sequence[Scene]) -> list[JudgedFact]:
    """The judged facts of all captions, one after the other; ValueError when the numbers differ."""
    if len(texts) != len(scenes):
        raise ValueError(f"{len(texts)} captions for {len(scenes)} scenes; give one caption per scene")
    return [fact for text, scene in zip(texts, scenes, strict=True) for fact in judge_caption(text, scene)]


def score_by_kind(facts: Iterable[JudgedFact]) -> dict[str, FactScore]:
    """True and stated facts of every kind, in alphabetical order."""
    kinds: dict[str, list[bool]] = {}
    for fact in facts:
        kinds.setdefault(fact.kind, []).append(fact.right)
    return {kind: FactScore(sum(right), len(right)) for kind, right in sorted(kinds.items())}


def direction_parts(facts: Iterable[JudgedFact]) -> dict[str, FactScore]:
    """Directions taken apart: is the axis right ("left of" for "right of"), and of these, is the side?"""
    level, both = ("left of", "right of"), [fact for fact in facts if fact.kind == "direction" and fact.true]
    along = [fact for fact in both if (fact.said in level) == (fact.true in level)]
    sides = FactScore(sum(fact.right for fact in along), len(along))
    return {"direction: the axis": FactScore(len(along), len(both)), "direction: the side": sides}


def confusion(facts: Iterable[JudgedFact], kind: str, values: Sequence[str]) -> list[list[int]]:
    """How often each of `values` (rows: true) was called each (columns: said), over the facts of one kind."""
    counts = [[0] * len(values) for _ in values]
    for fact in facts:
        if fact.kind == kind and fact.true in values and fact.said in values:
            counts[values.index(fact.true)][values.index(fact.said)] += 1
    return counts
