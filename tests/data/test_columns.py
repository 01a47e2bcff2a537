import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from aimv2_lab.data import reading
from aimv2_lab.data.columns import NESTING_LIMIT, MissingColumn, parse_json
from aimv2_lab.data.damage import DamagedCaption, DamagedImage, DamagedPair
from tests.data.generated import encoded, picture, sample, write_image_folder, write_shard, write_tar
from tests.data.layouts import LAYOUTS, Layout, keys, numbers, opened, pictures, write_parquet


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("", ("caption 0",)),
        ("json.alt", ("alt text 0",)),
        ("txt, json.alt", ("caption 0", "alt text 0")),
        ("json.alt,txt", ("alt text 0", "caption 0")),
    ],
)
def test_captions_from_the_columns_named(columns: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.tar", range(2))
    assert opened(tmp_path, validation_share=0.0, caption_column=columns)[0].captions == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_recipe_without_text_passes_captions_over(layout: Layout, tmp_path: Path) -> None:
    layout(tmp_path, "train", range(4))
    source, read = opened(tmp_path, tokenizer="", caption_column="gone"), opened(tmp_path)
    assert keys(source) == keys(read)
    assert [source[index].captions for index in range(4)] == [()] * 4


def test_a_recipe_without_text_needs_no_captions(tmp_path: Path) -> None:
    """Neither a column of them, nor one in every row."""
    write_parquet(tmp_path / "tables" / "a.parquet", {"image": pictures(range(3))["image"]})
    members = {"0": {"png": encoded(picture(0)), "txt": b"\xff"}, "1": {"png": encoded(picture(1)), "txt": b" "}}
    write_tar(tmp_path / "shards" / "00000.tar", members)
    for folder, count in ((tmp_path / "tables", 3), (tmp_path / "shards", 2)):
        source = opened(folder, tokenizer="", validation_share=0.0)
        assert [source[index].captions for index in range(len(source))] == [()] * count


def test_captions_in_json_alone_are_found(tmp_path: Path) -> None:
    members = {"png": encoded(picture(0)), "json": json.dumps({"url": "u", "caption": "caption 0"}).encode()}
    write_tar(tmp_path / "00000.tar", {"0": members})
    assert opened(tmp_path, validation_share=0.0)[0].captions == ("caption 0",)


def test_lists_give_several_captions(tmp_path: Path) -> None:
    sentences = [[{"raw": "one", "id": 1}, {"raw": "two", "id": 2}]] * 2
    columns = pictures(range(2)) | {"text": [["a", "b", "c"], ["d"]]} | {"sentences": sentences}
    write_parquet(tmp_path / "a.parquet", columns)
    assert [opened(tmp_path, validation_share=0.0)[index].captions for index in (0, 1)] == [("a", "b", "c"), ("d",)]
    assert opened(tmp_path, validation_share=0.0, caption_column="sentences.raw")[0].captions == ("one", "two")


def test_columns_of_unusual_names(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {"photo": [encoded(picture(n)) for n in range(3)]}
    write_parquet(tmp_path / "a.parquet", columns | {"words": [f"caption {n}" for n in range(3)]}, images=False)
    with pytest.raises(MissingColumn, match=r"no image column .*photo, words.*data\.image_column"):
        opened(tmp_path)
    with pytest.raises(MissingColumn, match=r"no caption column .*photo, words.*data\.caption_column"):
        opened(tmp_path, image_column="photo")
    source = opened(tmp_path, image_column="photo", caption_column="words", validation_share=0.0)
    assert numbers(source) == [0, 1, 2]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_column_that_is_not_there_is_an_error(layout: Layout, tmp_path: Path) -> None:
    layout(tmp_path, "train", range(4))
    with pytest.raises(MissingColumn, match=r"no caption column json\.title; found: .*data\.caption_column"):
        opened(tmp_path, caption_column="json.title")
    with pytest.raises(MissingColumn, match=r"no image column photo; found: .*data\.image_column"):
        opened(tmp_path, image_column="photo")


BAD_CAPTIONS = {
    "empty": (b"", "no caption"),
    "blank": (b" \n\t ", "no caption"),
    "not UTF-8": (b"caf\xe9", "unreadable txt"),
}


@pytest.mark.parametrize("kind", BAD_CAPTIONS)
def test_bad_captions_in_shards_are_refused_at_read(kind: str, tmp_path: Path) -> None:
    text, reason = BAD_CAPTIONS[kind]
    write_tar(tmp_path / "00000.tar", {"0": sample(0), "1": sample(1) | {"txt": text}, "2": sample(2)})
    source = opened(tmp_path, validation_share=0.0)
    with pytest.raises(DamagedCaption, match=reason) as damage:
        source[1]
    assert damage.value.key == "00000/1"
    assert len(source) == 3


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        (5, "not text"),
        ({"a": "b"}, "not text"),
        ([1], "not text"),
        (None, "no caption"),
        ([], "no caption"),
        ("\ud800", "Unicode"),
    ],
)
def test_captions_of_other_kinds_are_refused_at_read(caption: object, reason: str, tmp_path: Path) -> None:
    good = {"file_name": "0.png", "text": "caption 0"}
    write_image_folder(tmp_path, [good, {"file_name": "1.png", "text": caption}, {"file_name": "2.png"}])
    source = opened(tmp_path, validation_share=0.0)
    assert source[0].captions == ("caption 0",)
    with pytest.raises(DamagedCaption, match=reason) as damage:
        source[1]
    assert damage.value.key == "1.png"
    with pytest.raises(DamagedCaption, match="no caption"):
        source[2]


def test_a_blank_caption_beside_a_good_one_is_passed_over(tmp_path: Path) -> None:
    write_tar(tmp_path / "00000.tar", {"0": sample(0), "1": sample(1) | {"txt": b" "}})
    source = opened(tmp_path, validation_share=0.0, caption_column="txt,json.alt")
    assert source[1].captions == ("alt text 1",)


def test_broken_json_is_refused_at_read(tmp_path: Path) -> None:
    write_tar(tmp_path / "00000.tar", {"0": sample(0), "1": sample(1) | {"json": b'{"alt": '}})
    source = opened(tmp_path, validation_share=0.0, caption_column="json.alt")
    with pytest.raises(DamagedCaption, match="unreadable json"):
        source[1]
    assert opened(tmp_path, validation_share=0.0)[1].captions == ("caption 1",)  # not asked for, no harm


def test_broken_lines_of_metadata_are_refused_at_read(tmp_path: Path) -> None:
    write_image_folder(tmp_path, [{"file_name": "0.png", "text": "caption 0"}])
    with (tmp_path / "metadata.jsonl").open("a") as lines:
        lines.write('{"file_name": "1.png", "te\n[1, 2]\n')
    source = opened(tmp_path, validation_share=0.0)
    assert source[0].captions == ("caption 0",)
    for index in (1, 2):
        with pytest.raises(DamagedPair, match=rf"metadata\.jsonl line {index + 1}"):
            source[index]


def test_missing_pictures_are_refused_at_read(tmp_path: Path) -> None:
    folder, shards, table = tmp_path / "folder", tmp_path / "shards", tmp_path / "table"
    write_image_folder(
        folder, [{"file_name": "0.png", "text": "a"}, {"file_name": "1.png", "text": "b"}, {"text": "c"}]
    )
    (folder / "1.png").unlink()
    write_tar(shards / "00000.tar", {"0": sample(0), "1": {"txt": b"b"}, "2": {"txt": b"c"}})
    write_parquet(
        table / "a.parquet", pictures([0]) | {"image": [None, None, encoded(picture(0))], "text": list("cba")}
    )
    for path, broken in ((folder, (1, 2)), (shards, (1, 2)), (table, (0, 1))):
        source = opened(path, validation_share=0.0)
        for index in broken:
            with pytest.raises(DamagedImage, match=r"file not found|no image"):
                source[index]


def test_parquet_of_picture_paths_reads_the_files(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for n in range(3):
        (tmp_path / "pictures" / f"{n}.png").write_bytes(encoded(picture(n)))
    columns = {"image": [f"pictures/{n}.png" for n in range(3)], "text": [f"caption {n}" for n in range(3)]}
    write_parquet(tmp_path / "a.parquet", columns, images=False)
    assert numbers(opened(tmp_path, validation_share=0.0)) == [0, 1, 2]


def test_a_column_of_keys_names_the_pairs(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pictures(range(3)) | {"uid": ["x", "y", "z"]})
    assert keys(opened(tmp_path, validation_share=0.0)) == ["x", "y", "z"]


def test_pictures_are_not_decoded_on_the_way(tmp_path: Path) -> None:
    columns = pictures(range(2)) | {"image": [b"damaged", encoded(picture(1))]}
    write_parquet(tmp_path / "a.parquet", columns)
    assert opened(tmp_path, validation_share=0.0)[0].image == b"damaged"


def refused(path: Path, index: int, error: type[DamagedPair], reason: str, **changes: Any) -> None:
    """The pair at an index is damaged, its neighbours are read."""
    source = opened(path, validation_share=0.0, **changes)
    with pytest.raises(error, match=reason):
        source[index]
    assert [source[place].captions for place in (index - 1, index + 1)]


@pytest.mark.parametrize("depth", [NESTING_LIMIT + 1, 990, 100_000])
def test_json_nested_too_deeply_is_damage(depth: int, tmp_path: Path) -> None:
    """Whatever Python's own limit is, and however much of it the process has used."""
    deep = '{"alt": ' * depth + '"text"' + "}" * depth
    shards, folder = tmp_path / "shards", tmp_path / "folder"
    write_tar(shards / "00000.tar", {"0": sample(0), "1": sample(1) | {"json": deep.encode()}, "2": sample(2)})
    refused(shards, 1, DamagedCaption, r"unreadable json: JSON nested deeper than 100", caption_column="json.alt")
    write_image_folder(folder, [{"file_name": f"{number}.png", "text": "a"} for number in range(3)])
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    lines[1] = lines[1].removesuffix("}") + f', "more": {deep}}}'
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    refused(folder, 1, DamagedCaption, r"unreadable metadata\.jsonl")


def test_json_nested_to_the_limit_is_read() -> None:
    deep = "[" * NESTING_LIMIT + "]" * NESTING_LIMIT
    assert json.dumps(parse_json(deep)) == deep
    flat = json.dumps([[]] * 1000)  # many brackets, none deep
    assert parse_json(flat) == [[]] * 1000
    with pytest.raises(ValueError, match="nested deeper"):
        parse_json(f"[{deep}]")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.png", "file not found: No such file"),
        ("x" * 300, "file not found: File name too long"),
        ("x/" * 3000 + "y.png", "file not found: File name too long"),
        ("nul\0.png", "no name of a file: embedded null byte"),
        ("half \ud83d.png", "no name of a file: .*surrogates"),
        ("folder.png", "file not found: Is a directory"),
        ("0.png/inside.png", "file not found: Not a directory"),
    ],
    ids=["missing", "long", "long path", "zero byte", "half a character", "folder", "in a file"],
)
def test_names_that_name_no_picture_are_damage(name: str, reason: str, tmp_path: Path) -> None:
    lines = [{"file_name": f"{number}.png", "text": f"caption {number}"} for number in range(3)]
    write_image_folder(tmp_path, lines)
    (tmp_path / "folder.png").mkdir()
    lines[1]["file_name"] = name
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    refused(tmp_path, 1, DamagedImage, reason)


def failing_reads(monkeypatch: pytest.MonkeyPatch, number: int, times: int) -> list[Path]:
    """Let reading whole files fail so many times; returns the files asked for. Nothing waits."""
    asked: list[Path] = []
    read = Path.read_bytes

    def fail(file: Path) -> bytes:
        asked.append(file)
        if len(asked) <= times:
            raise OSError(number, os.strerror(number), str(file))
        return read(file)

    monkeypatch.setattr(reading, "DELAYS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(Path, "read_bytes", fail)
    return asked


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_picture_is_read_again_after_a_passing_error(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image_folder(tmp_path, [{"file_name": "0.png", "text": "caption 0"}])
    source = opened(tmp_path, validation_share=0.0)
    asked = failing_reads(monkeypatch, number, 2)
    assert source[0].image == encoded(picture(0))
    assert asked == [tmp_path / "0.png"] * 3


@pytest.mark.parametrize(("number", "tries"), [(errno.EIO, 4), (errno.EMFILE, 1), (errno.ENOMEM, 1)])
def test_a_file_system_that_fails_is_no_damage(
    number: int, tries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is want of memory or of descriptors: what the process lacks is not the pair's fault."""
    write_image_folder(tmp_path, [{"file_name": "0.png", "text": "caption 0"}])
    source = opened(tmp_path, validation_share=0.0)
    asked = failing_reads(monkeypatch, number, 99)
    with pytest.raises(OSError, match=r"0\.png") as raised:
        source[0]
    assert raised.value.errno == number and len(asked) == tries


def test_a_picture_that_may_not_be_read_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image_folder(tmp_path, [{"file_name": "0.png", "text": "caption 0"}])
    source = opened(tmp_path, validation_share=0.0)
    failing_reads(monkeypatch, errno.EACCES, 99)
    with pytest.raises(DamagedImage, match=r"file unreadable: Permission denied: .*0\.png"):
        source[0]
