import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from aimv2_lab.data.row_filters import basic_filters, filtered, threshold
from tests.data.metadata_tables import datacomp_table


def kept(table: pa.Table, *filters: object) -> list[int]:
    """The numbers of the rows that pass."""
    numbered = table.append_column("row", pa.array(range(table.num_rows)))
    return filtered(numbered, filters, Counter())["row"].to_pylist()  # type: ignore[arg-type]


def test_thresholds_include_their_number_and_drop_what_has_none() -> None:
    table = pa.table({"score": [0.1, 0.28, 0.3, None, float("nan")]})
    assert kept(table, threshold("score=0.28", at_least=True)) == [1, 2]
    assert kept(table, threshold("score=0.28", at_least=False)) == [0, 1]
    assert kept(pa.table({"a=b": [1, 5]}), threshold("a=b=3", at_least=True)) == [1]
    assert kept(pa.table({"n": [2**40, 1]}), threshold("n=1e3", at_least=True)) == [0]


@pytest.mark.parametrize("wrong", ["score", "score=", "=0.3", "score=high"])
def test_what_is_no_threshold_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no threshold: write COLUMN=NUMBER"):
        threshold(wrong, at_least=True)


def test_a_threshold_on_a_text_is_refused_with_the_column() -> None:
    with pytest.raises(ValueError, match="column text holds string, not numbers"):
        kept(pa.table({"text": ["high"]}), threshold("text=1", at_least=True))


def test_the_basic_filter_is_datacomps() -> None:
    table = datacomp_table(3_000)
    expected = []
    for number, row in enumerate(table.to_pylist()):
        words, sides = len(row["text"].split()), (row["original_width"], row["original_height"])
        caption = words > 2 and len(row["text"]) > 5
        if caption and min(sides) >= 200 and max(sides) / min(sides) <= 3.0:
            expected.append(number)
    assert kept(table, *basic_filters("text", "original_width", "original_height")) == expected
    assert 500 < len(expected) < 2_500


@pytest.mark.parametrize(
    ("text", "width", "height", "passes"),
    [
        ("a b cd", 200, 600, True),
        ("a b c", 200, 600, False),  # five characters
        ("abcd efgh", 200, 600, False),  # two words
        ("a b cd", 199, 500, False),
        ("a b cd", 200, 601, False),
        ("é é éé", 600, 200, True),  # characters, not bytes
        ("a b é", 600, 200, False),
        (None, 600, 600, False),
        ("a b cd", None, 600, False),
    ],
)
def test_the_limits_of_the_basic_filter(text: str | None, width: int | None, height: int, passes: bool) -> None:
    table = pa.table({"t": pa.array([text], pa.string()), "w": pa.array([width], pa.int32()), "h": [height]})
    assert kept(table, *basic_filters("t", "w", "h")) == [0] * passes


def test_words_are_counted_as_str_split_counts_them() -> None:
    letters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    texts = [f"aa{letter}bb cc" for letter in letters]
    table = pa.table({"t": texts, "w": np.full(len(texts), 300), "h": np.full(len(texts), 300)})
    expected = [number for number, text in enumerate(texts) if len(text.split()) > 2]
    assert kept(table, basic_filters("t", "w", "h")[0]) == expected and 20 < len(expected) < 40


def test_a_row_counts_under_the_first_filter_that_drops_it() -> None:
    counts = Counter[str]()
    filters = [threshold("x=2", at_least=True), threshold("x=3", at_least=False)]
    left = filtered(pa.table({"x": [0, 1, 2, 3, 4]}), filters, counts)
    assert left["x"].to_pylist() == [2, 3] and counts == {"not x >= 2": 2, "not x <= 3": 1}
