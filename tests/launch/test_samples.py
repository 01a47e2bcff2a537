"""The sample pairs in the repository: made by the command, the same pairs in each layout, readable by HF datasets."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from PIL import Image

from aimv2_lab.data.captions import parse_facts
from aimv2_lab.data.files import visible_files
from aimv2_lab.launch.samples import SAMPLES, SIZE, write_samples

STORED = Path(__file__).parents[2] / "data_samples"
SPLITS = sorted(SAMPLES)


def files(folder: Path) -> dict[str, bytes]:
    shown = [path for path in visible_files(folder) if path.is_file()]  # without the index that readers leave
    return {str(path.relative_to(folder)): path.read_bytes() for path in shown}


def test_the_command_writes_what_is_stored_to_the_byte(tmp_path: Path) -> None:
    write_samples(tmp_path)
    made, stored = files(tmp_path), files(STORED)
    assert sorted(made) == sorted(stored)
    assert [name for name in made if made[name] != stored[name]] == []
    assert sum(map(len, stored.values())) < 3_000_000


def read_tar(split: str) -> dict[str, dict[str, bytes]]:
    """key -> extension -> content, checking that members of a key stand together, in img2dataset's order."""
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(STORED / "webdataset" / f"{split}-00000.tar") as tar:
        for member in tar:
            key, extension = member.name.split(".")
            content = tar.extractfile(member)
            assert content is not None and member.mtime == 0 and member.uid == 0 and not member.uname
            found.setdefault(key, {})[extension] = content.read()
            assert key == list(found)[-1]
    assert all(list(members) == ["jpg", "txt", "json"] for members in found.values())
    assert all(len(key) == 8 and key.isdecimal() for key in found)
    return found


@pytest.mark.parametrize("split", SPLITS)
def test_all_layouts_hold_the_same_pairs(split: str) -> None:
    rows = pq.read_table(STORED / "parquet" / f"{split}-00000.parquet").to_pylist()
    folder = STORED / "imagefolder" / split
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    tar = read_tar(split)
    assert len(rows) == len(lines) == len(tar) == SAMPLES[split]
    for row, line, (key, members) in zip(rows, lines, tar.items(), strict=True):
        about = json.loads(members["json"])
        assert row["key"] == about["key"] == key == line["file_name"].split(".")[0]
        assert row["image"]["bytes"] == members["jpg"] == (folder / line["file_name"]).read_bytes()
        assert row["caption"] == line["caption"] == members["txt"].decode() == about["caption"]
        for name in ("objects", "caption_facts", "alt_facts"):
            assert json.loads(row[name]) == line[name] == about[name]
        assert row["alt"] == line["alt"] == about["alt"]


@pytest.mark.parametrize("split", SPLITS)
def test_records_fit_the_texts_and_pictures(split: str) -> None:
    for members in read_tar(split).values():
        about = json.loads(members["json"])
        image = Image.open(io.BytesIO(members["jpg"]))
        assert (image.size, image.mode, image.format) == ((SIZE, SIZE), "RGB", "JPEG")
        for text, facts in ((about["caption"], about["caption_facts"]), (about["alt"], about["alt_facts"])):
            said = sorted((fact.kind, fact.value) for fact in parse_facts(text).facts)
            assert sorted((kind, value) for kind, value in ((fact["kind"], fact["value"]) for fact in facts)) == said
        for thing in about["objects"]:
            x0, y0, x1, y1 = thing["box"]
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
        for fact in about["caption_facts"]:
            if fact["kind"] in ("shape", "colour", "size", "fill", "mark"):
                assert about["objects"][fact["subject"]][fact["kind"]] == fact["value"]


def test_splits_share_no_picture() -> None:
    pictures = [members["jpg"] for split in SPLITS for members in read_tar(split).values()]
    assert len(set(pictures)) == sum(SAMPLES.values())


@pytest.mark.parametrize("layout", ["parquet", "webdataset", "imagefolder"])
def test_datasets_reads_both_splits_with_pictures(layout: str, tmp_path: Path) -> None:
    loaded = load_dataset(layout, data_dir=str(STORED / layout), cache_dir=str(tmp_path))
    assert {split: len(loaded[split]) for split in SPLITS} == SAMPLES
    first = loaded["train"][0]
    image = first["jpg" if layout == "webdataset" else "image"]
    assert isinstance(image, Image.Image) and image.size == (SIZE, SIZE)
    caption = first["txt" if layout == "webdataset" else "caption"]
    assert caption == read_tar("train")["00000000"]["txt"].decode()
