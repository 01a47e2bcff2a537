"""Every word of the captions. Each phrase has exactly one meaning, so that captions can be read back."""

from __future__ import annotations

from aimv2_lab.data.world.settings import COLOURS, FILLS, SHAPES, SIZES

# Meaning -> phrases that say it. The first of each is the plain one.
SHAPE_WORDS: dict[str, tuple[str, ...]] = {shape: (shape,) for shape in SHAPES}
SIZE_WORDS = {"small": ("small", "little"), "medium": ("medium",), "large": ("large", "big")}
COLOUR_WORDS: dict[str, tuple[str, ...]] = {colour: (colour,) for colour in COLOURS}
FILL_WORDS = {"solid": ("solid", "filled"), "hollow": ("hollow", "outlined")}
MARK_PHRASES = {
    "horizontal stripes": ("horizontal stripes", "level stripes"),
    "vertical stripes": ("vertical stripes", "upright stripes"),
    "one dot": ("one dot", "a dot"),
    "two dots": ("two dots",),
    "three dots": ("three dots",),
    "glyph h": ("the letter h",),
    "glyph l": ("the letter l",),
    "glyph t": ("the letter t",),
    "glyph x": ("the letter x",),
}
# Two, so that a model that says what is likeliest names a shape when it is more likely right than wrong: a caption
# names half of the shapes, and each of these nouns stands for a quarter of the objects.
GENERIC_NOUNS = ("object", "thing")
RELATION_PHRASES = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
    "larger than": ("larger than", "bigger than"),
    "smaller than": ("smaller than",),
    "same colour as": ("of the same colour as",),
}
OPENERS = ("there is", "there are", "the picture shows", "we see")
NUMBER_WORDS = ("one", "two", "three", "four", "five", "six")
COUNT_NOUNS = ("object", "objects", "things", "shapes")
DISTRACTORS = ("photo", "stock", "free", "new", "sale", "best", "wallpaper", "design", "icon", "online", "hd", "buy")
ARTICLES = ("a", "an")
PUNCTUATION = (".", ",")

ATTRIBUTE_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "size": {size: SIZE_WORDS[size] for size in SIZES},
    "fill": {fill: FILL_WORDS[fill] for fill in FILLS},
    "colour": COLOUR_WORDS,
    "shape": SHAPE_WORDS,
    "mark": MARK_PHRASES,
}


def words() -> tuple[str, ...]:
    """The whole vocabulary of the captions, sorted, punctuation included."""
    meanings = [phrases for table in (*ATTRIBUTE_WORDS.values(), RELATION_PHRASES) for phrases in table.values()]
    meanings += [GENERIC_NOUNS, OPENERS, NUMBER_WORDS, COUNT_NOUNS, DISTRACTORS, ARTICLES, PUNCTUATION]
    return tuple(
        sorted(
            {word for phrases in (*meanings, ("and", "with", "is")) for phrase in phrases for word in phrase.split()}
        )
    )
