"""Reading captions back: from text to the facts it states.

The grammar (our own), per clause; a clause ends at a full stop, a comma or the end, and distractor words are skipped:

    clause    = [opener] number count-noun | [opener] phrase [tail] | relations phrase ("there is" | "is") phrase
    tail      = ["is"] relations phrase | ("and" phrase)+
    relations = relation ("and" relation)*
    phrase    = [article] (size | fill | colour)* noun ["with" mark]

No word of one category is a word of another where both could stand, so a text has one reading or none. Within a phrase
every kind of attribute may occur once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aimv2_lab.data.captions.facts import Fact
from aimv2_lab.data.captions.lexicon import (
    ARTICLES,
    ATTRIBUTE_WORDS,
    COUNT_NOUNS,
    DISTRACTORS,
    GENERIC_NOUNS,
    NUMBER_WORDS,
    OPENERS,
    RELATION_PHRASES,
)

_Table = dict[tuple[str, ...], tuple[str, str]]  # words of a phrase -> (kind, meaning)


@dataclass(frozen=True)
class ParsedCaption:
    """What a text states: `facts` about its noun phrases, numbered by mention; how many phrases there are; how many
    clauses could not be read."""

    facts: tuple[Fact, ...]
    phrases: int
    unparsable: int


class _Unreadable(Exception):
    """The clause does not follow the grammar."""


def parse_facts(text: str) -> ParsedCaption:
    """The facts that a caption states, canonical, in the order of reading. Of an unreadable clause nothing is kept."""
    facts: list[Fact] = []
    phrases = unparsable = 0
    for clause in re.split(r"[.,]", text.lower()):
        words = [word for word in clause.split() if word not in DISTRACTORS]
        reader = _ClauseReader(words, phrases)
        try:
            reader.clause()
        except _Unreadable:
            unparsable += 1
            continue
        facts += reader.facts
        phrases = reader.phrases
    return ParsedCaption(tuple(facts), phrases, unparsable)


class _ClauseReader:
    """Reads one clause from left to right, collecting facts."""

    def __init__(self, words: list[str], phrases: int) -> None:
        self.words = words
        self.at = 0
        self.phrases = phrases
        self.facts: list[Fact] = []

    def clause(self) -> None:
        """The whole clause; an empty one states nothing."""
        if not self.words:
            return
        relations = self._relations()
        if relations:
            other = self._phrase()
            if not self._take(_LINKS):
                raise _Unreadable
            self._relate(self._phrase(), relations, other)
        else:
            self._take(_OPENERS)
            if number := self._take(_NUMBERS):
                self._need(_COUNT_NOUNS)
                self.facts.append(Fact("count", number[1]))
            else:
                self._tail(self._phrase())
        if self.at < len(self.words):
            raise _Unreadable

    def _tail(self, first: int) -> None:
        """What follows the first noun phrase: a relation to another, or further phrases."""
        linked = self._take(_IS)
        relations = self._relations()
        if relations:
            self._relate(first, relations, self._phrase())
            return
        if linked:
            raise _Unreadable
        while self._take(_AND):
            self._phrase()

    def _relations(self) -> list[str]:
        """One or more relations joined by "and"."""
        found: list[str] = []
        while relation := self._take(_RELATIONS):
            found.append(relation[1])
            start = self.at
            if not self._take(_AND):
                break
            if not self._peek(_RELATIONS):
                self.at = start
                break
        return found

    def _relate(self, subject: int, relations: list[str], other: int) -> None:
        """Note relations between two phrases."""
        self.facts += [Fact("relation", value, subject, other).canonical() for value in relations]

    def _phrase(self) -> int:
        """A noun phrase; returns its number."""
        number = self.phrases
        self._take(_ARTICLES)
        seen: dict[str, str] = {}
        while word := self._take(_ADJECTIVES):
            if word[0] in seen:
                raise _Unreadable
            seen[word[0]] = word[1]
        kind, meaning = self._need(_NOUNS)
        if kind == "shape":
            seen[kind] = meaning
        if self._take(_WITH):
            seen["mark"] = self._need(_MARKS)[1]
        self.facts += [Fact(kind, value, number) for kind, value in seen.items()]
        self.phrases += 1
        return number

    def _need(self, table: _Table) -> tuple[str, str]:
        """The next words must be a phrase of the table."""
        found = self._take(table)
        if found is None:
            raise _Unreadable
        return found

    def _take(self, table: _Table) -> tuple[str, str] | None:
        """Read the longest phrase of the table that comes next, if any."""
        found = self._peek(table)
        if found is None:
            return None
        self.at += len(found)
        return table[found]

    def _peek(self, table: _Table) -> tuple[str, ...] | None:
        """The longest phrase of the table that comes next, if any."""
        for length in range(max(map(len, table)), 0, -1):
            words = tuple(self.words[self.at : self.at + length])
            if words in table:
                return words
        return None


def _table(**kinds: Mapping[str, tuple[str, ...]]) -> _Table:
    """Phrase words -> (kind, meaning) of kinds given as meaning -> phrases."""
    return {
        tuple(phrase.split()): (kind, meaning)
        for kind, meanings in kinds.items()
        for meaning, phrases in meanings.items()
        for phrase in phrases
    }


_ADJECTIVES = _table(**{kind: ATTRIBUTE_WORDS[kind] for kind in ("size", "fill", "colour")})
_NOUNS = _table(shape=ATTRIBUTE_WORDS["shape"], generic={"": GENERIC_NOUNS})
_MARKS = _table(mark=ATTRIBUTE_WORDS["mark"])
_RELATIONS = _table(relation=RELATION_PHRASES)
_OPENERS = _table(opener={"": OPENERS})
_NUMBERS = _table(count={word: (word,) for word in NUMBER_WORDS})
_COUNT_NOUNS = _table(count={"": COUNT_NOUNS})
_ARTICLES = _table(article={"": ARTICLES})
_LINKS = _table(link={"": ("there is", "is")})
_IS = _table(link={"": ("is",)})
_AND = _table(link={"": ("and",)})
_WITH = _table(link={"": ("with",)})
