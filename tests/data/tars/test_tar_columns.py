"""Numbers that an index keeps of every sample."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from aimv2_lab.data.columns import MissingColumn
from aimv2_lab.data.tars.indexing import build_index, open_index
from tests.data.generated import sample, write_shard, write_tar
from tests.data.layouts import write_parquet
from tests.data.tars.indexes import as_json, column, damage, taken, with_sizes


def test_columns_from_json(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "a.tar",
        {
            "0": sample(0) | {"json": as_json({"width": 3, "scores": {"clip": 0.5}})},
            "1": sample(1) | {"json": as_json({"width": "wide", "scores.clip": True})},
            "2": sample(2) | {"json": b"{"},
            "3": {"txt": b"without json"},
            "4": sample(4) | {"json": as_json([1, 2])},
            "5": sample(5) | {"json": b'{"width": 1%s}' % (b"0" * 400)},
            "6": sample(6) | {"json": b'{"width": NaN, "scores": {"clip": -Infinity}}'},
            "7": sample(7) | {"json": b'{"width": 1%s}' % (b"0" * 5000)},  # more digits than Python reads
        },
    )
    index = build_index(tmp_path, ["width", "scores.clip"])
    assert column(index, "width") == [3, *[None] * 7]
    assert column(index, "scores.clip") == [0.5, 1, *[None] * 6]
    assert [(key, reason.partition(":")[0]) for key, _, reason in damage(index)] == [
        ("a/1", "no number"),
        ("a/2", "unreadable json"),
        ("a/5", "no number"),
        ("a/6", "no number"),
        ("a/6", "no number"),
        ("a/7", "unreadable json"),
    ]


def test_columns_from_the_parquet_beside_a_shard(tmp_path: Path) -> None:
    """As img2dataset writes it, in another order and with rows for pictures that failed; json goes first."""
    write_tar(tmp_path / "a.tar", {"0": sample(0), "1": sample(1) | {"json": as_json({"width": 7})}, "2": sample(2)})
    rows: dict[str, Sequence[object]] = {
        "key": ["2", "9", "0", "1"],
        "width": [30, None, 10, 20],
        "similarity": [None, 0.9, 0.1, 0.2],
    }
    write_parquet(tmp_path / "a.parquet", rows | {"caption": list("abcd")}, images=False)
    write_shard(tmp_path / "b.tar", range(2))
    index = build_index(tmp_path, ["width", "similarity"])
    assert column(index, "width") == [10, 7, 30, None, None]
    assert column(index, "similarity") == [0.1, 0.2, None, None, None]
    with pytest.raises(ValueError, match=r"column caption of .*a\.parquet holds .*string, not numbers"):
        build_index(tmp_path, ["caption"])


def test_columns_asked_for_later(tmp_path: Path, walked: list[str]) -> None:
    with_sizes(tmp_path, {0: 3, 1: 4})
    build_index(tmp_path)
    index = build_index(tmp_path, ["size"])
    assert column(index, "size") == [3, 4] == column(open_index(tmp_path), "size")
    assert len(taken(walked)) == 2
    again = build_index(tmp_path)  # asks for nothing, so that what there is stays
    assert again.manifest == index.manifest and not taken(walked)
    assert build_index(tmp_path, []).manifest.columns == ()
    assert not taken(walked)  # a part with more columns serves as well
    with pytest.raises(MissingColumn, match=r"has the columns size, not width: run .* --columns size,width"):
        index.column("width")


def test_another_parquet_file_gives_other_numbers(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", [0])
    for width in (10, 2000):
        write_parquet(tmp_path / "a.parquet", {"key": ["00000000"], "width": [width]}, images=False)
        os.utime(tmp_path / "a.parquet", ns=(width, width))
        assert column(build_index(tmp_path, ["width"]), "width") == [width]


@pytest.mark.parametrize(
    ("name", "message"), [("sise", "no sample of .* has a number under sise"), ("a/b", "names are")]
)
def test_columns_that_are_nowhere_are_refused(name: str, message: str, tmp_path: Path) -> None:
    with_sizes(tmp_path, {0: 3})
    before = build_index(tmp_path, ["size"])
    with pytest.raises(ValueError, match=message):
        build_index(tmp_path, ["size", name])
    assert column(open_index(tmp_path), "size") == [3]
    assert [path.name for path in before.folder.glob("arrays-*")] == [before.manifest.arrays]
