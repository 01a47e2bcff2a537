"""Putting facts into words: noun phrases, relations and the templates around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aimv2_lab.data.captions.facts import Fact
from aimv2_lab.data.captions.lexicon import ATTRIBUTE_WORDS, COUNT_NOUNS, GENERIC_NOUNS, RELATION_PHRASES

_SPATIAL = {"left of", "right of", "above", "below"}


class Writer:
    """Writes the stated facts of one caption, drawing templates and synonyms, and notes which object each noun phrase
    is about."""

    def __init__(self, stated: Sequence[Fact], draw: np.random.Generator) -> None:
        self.stated = stated
        self.draw = draw
        self.mentions: list[int] = []

    def pair(self, *objects: int) -> str:
        """One sentence without its full stop about one or two objects; empty when nothing is stated of them."""
        relations = [
            fact for fact in self.stated if fact.kind == "relation" and {fact.subject, fact.other} == {*objects}
        ]
        if relations:
            return self._related(relations, *self._shuffled(objects))
        return self._listed(self._described(objects))

    def terse(self, *objects: int) -> str:
        """The same without articles and sentence."""
        relations = [fact for fact in self.stated if fact.kind == "relation"]
        if not relations:
            return " and ".join(self._phrase(i, article=False) for i in self._described(objects))
        a, b = self._shuffled(objects)
        return f"{self._phrase(a, article=False)} {self._relation(relations, a)} {self._phrase(b, article=False)}"

    def count(self, number: str) -> str:
        """How many objects there are."""
        if number == "one":
            return "there is one object"
        noun = self._choose(COUNT_NOUNS[1:])
        return self._choose((f"there are {number} {noun}", f"{number} {noun}", f"the picture shows {number} {noun}"))

    def _related(self, relations: list[Fact], a: int, b: int) -> str:
        """A sentence that relates two objects, in one of five templates."""
        spatial = all(fact.value in _SPATIAL for fact in relations)
        template = int(self.draw.integers(5 if spatial else 4))
        relation = self._relation(relations, a)
        if template == 4:
            return f"{relation} {self._phrase(b)} there is {self._phrase(a)}"
        before = ("", "", "there is ", "the picture shows ")[template]
        return f"{before}{self._phrase(a)} {'is ' if template == 1 else ''}{relation} {self._phrase(b)}"

    def _listed(self, objects: list[int]) -> str:
        """A sentence that only lists objects, in one of four templates."""
        if not objects:
            return ""
        there = "there is " if len(objects) == 1 else "there are "
        before = self._choose(("", there, "the picture shows ", "we see "))
        return before + " and ".join(self._phrase(i) for i in objects)

    def _relation(self, relations: list[Fact], subject: int) -> str:
        """What `subject` is to the other object, e.g. "to the left of and above"."""
        chosen = [self._choose(RELATION_PHRASES[fact.seen_from(subject).value]) for fact in relations]
        return " and ".join(chosen)

    def _phrase(self, index: int, article: bool = True) -> str:
        """The noun phrase of one object; every object gets at most one, noted in `mentions`."""
        self.mentions.append(index)
        values = {fact.kind: fact.value for fact in self.stated if fact.subject == index and fact.kind != "relation"}
        words = {kind: self._choose(ATTRIBUTE_WORDS[kind][value]) for kind, value in values.items()}
        parts = [words[kind] for kind in ("size", "fill", "colour") if kind in words]
        parts.append(words.get("shape") or self._choose(GENERIC_NOUNS))
        if "mark" in words:
            parts += ["with", words["mark"]]
        if article:
            parts.insert(0, "an" if parts[0][0] in "aeiou" else "a")
        return " ".join(parts)

    def _described(self, objects: Sequence[int]) -> list[int]:
        """Those objects of which an attribute is stated, in random order."""
        described = {fact.subject for fact in self.stated if fact.kind != "relation"}
        return [i for i in self._shuffled(objects) if i in described]

    def _shuffled(self, objects: Sequence[int]) -> list[int]:
        """The objects in random order."""
        return [objects[i] for i in self.draw.permutation(len(objects))]

    def _choose(self, options: Sequence[str]) -> str:
        """One of the options, each as likely."""
        return options[int(self.draw.integers(len(options)))]
