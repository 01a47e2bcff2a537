"""What is true in a scene, as records that captions state and scorers check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from aimv2_lab.data.world.layout import RELATION_MARGIN
from aimv2_lab.data.world.scene import Scene, SceneObject
from aimv2_lab.data.world.settings import SIZES

ATTRIBUTES = ("shape", "colour", "size", "fill", "mark")
NUMBERS = ("one", "two", "three", "four", "five", "six")

# Every relation and the one that says the same with the two objects exchanged.
INVERSES = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "larger than": "smaller than",
    "smaller than": "larger than",
    "same colour as": "same colour as",
}


@dataclass(frozen=True, order=True)
class Fact:
    """One statement: object `subject` has the attribute `value`, stands in the relation `value` to object `other`, or
    (kind "count", subject -1) there are `value` objects. Numbers count a scene's objects, or the noun phrases of a text
    in the order of mention, from 0. Relations read "subject is `value` other"."""

    kind: str  # one of ATTRIBUTES, "relation" or "count"
    value: str
    subject: int = -1
    other: int = -1

    def canonical(self) -> Fact:
        """The one form of a relation that can be said from either side: "b right of a" becomes "a left of b"."""
        mirrored = self.value in ("right of", "below", "smaller than")
        if self.kind == "relation" and (mirrored or (self.value == "same colour as" and self.subject > self.other)):
            return self.mirror()
        return self

    def mirror(self) -> Fact:
        """The same relation said from the other object's side."""
        return replace(self, value=INVERSES[self.value], subject=self.other, other=self.subject)

    def seen_from(self, subject: int) -> Fact:
        """The same relation said from the side of one of its two objects."""
        return self if self.subject == subject else self.mirror()

    def of(self, objects: Mapping[int, int]) -> Fact:
        """The same statement with its objects renumbered; -1 for an object that `objects` does not hold."""
        return replace(self, subject=objects.get(self.subject, -1), other=objects.get(self.other, -1))


def attribute_facts(scene: Scene, index: int) -> tuple[Fact, ...]:
    """The nameable attributes of one object. A missing mark is not named; fill is named as "solid" or "hollow"."""
    thing = scene.objects[index]
    named = (name for name in ATTRIBUTES if getattr(thing, name) != "none")
    return tuple(Fact(name, getattr(thing, name), index) for name in named)


def relation_facts(scene: Scene, subject: int, other: int) -> tuple[Fact, ...]:
    """The true relations between two objects, canonical.

    Left, right, above and below compare centres and need a distance of `RELATION_MARGIN`; sizes compare size words.
    """
    a, b = scene.objects[subject], scene.objects[other]
    true = [value for value in INVERSES if _holds(value, a, b)]
    return tuple(sorted({Fact("relation", value, subject, other).canonical() for value in true}))


def _holds(relation: str, a: SceneObject, b: SceneObject) -> bool:
    """Whether "a is `relation` b" is true."""
    return {
        "left of": b.x - a.x >= RELATION_MARGIN,
        "right of": a.x - b.x >= RELATION_MARGIN,
        "above": b.y - a.y >= RELATION_MARGIN,
        "below": a.y - b.y >= RELATION_MARGIN,
        "larger than": SIZES.index(a.size) > SIZES.index(b.size),
        "smaller than": SIZES.index(a.size) < SIZES.index(b.size),
        "same colour as": a.colour == b.colour,
    }[relation]


def facts_of(scene: Scene) -> tuple[Fact, ...]:
    """Everything that is true of a scene and can be said: its count, attributes, and relations of all pairs."""
    numbers = range(len(scene.objects))
    facts = [Fact("count", NUMBERS[len(scene.objects) - 1])]
    facts += [fact for i in numbers for fact in attribute_facts(scene, i)]
    return (*facts, *(fact for a, b in combinations(numbers, 2) for fact in relation_facts(scene, a, b)))


def false_facts(facts: Iterable[Fact], scene: Scene) -> tuple[Fact, ...]:
    """Those of `facts` (about the scene's own object numbers) that do not hold."""
    true = set(facts_of(scene))
    return tuple(fact for fact in facts if fact.canonical() not in true)
