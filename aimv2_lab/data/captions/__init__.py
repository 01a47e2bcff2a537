"""Captions of the generated world: facts, texts that state them, and the way back."""

from __future__ import annotations

from aimv2_lab.data.captions.facts import Fact, attribute_facts, facts_of, false_facts, relation_facts
from aimv2_lab.data.captions.lexicon import words
from aimv2_lab.data.captions.reading import ParsedCaption, parse_facts
from aimv2_lab.data.captions.views import Caption, alt_caption, synthetic_caption

__all__ = [
    "Caption",
    "Fact",
    "ParsedCaption",
    "alt_caption",
    "attribute_facts",
    "facts_of",
    "false_facts",
    "parse_facts",
    "relation_facts",
    "synthetic_caption",
    "words",
]
