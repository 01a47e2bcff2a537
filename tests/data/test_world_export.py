"""The exported world: the same pairs in every layout, and planted damage that is exactly where the list says."""

import io
import json
import tarfile
import weakref
from collections.abc import Mapping
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from aimv2_lab.data.damage import DamagedArchive, DamagedCaption, DamagedImage
from aimv2_lab.data.images import decode_image
from aimv2_lab.data.world import export as export_module
from aimv2_lab.data.world.export import PLANTED, WorldExport, export_world
from aimv2_lab.data.world.planted import Damage
from aimv2_lab.data.world.samples import world_sample
from aimv2_lab.data.world.scene import generator
from aimv2_lab.data.writers import Sample
from tests.data.layouts import opened

LAYOUTS = get_args(get_type_hints(WorldExport)["layout"])
RATES = [item.name for item in fields(Damage) if not item.name.endswith("shards")]
Layout = Literal["webdataset", "parquet", "imagefolder", "arrow"]


def written(folder: Path, layout: Layout = "webdataset", **changes: Any) -> tuple[WorldExport, list[dict[str, Any]]]:
    """An export of 60 small pairs in shards of 25, with changes, and the lines of its list of planted damage."""
    export = WorldExport(**{"folder": folder, "layout": layout, "pairs": 60, "shard_size": 25, "size": 16} | changes)
    lines = export_world(export)
    listed = folder / PLANTED
    planted = [json.loads(line) for line in listed.read_text().splitlines()] if listed.exists() else []
    assert len(planted) == lines
    return export, planted


def members(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


def pairs_in(folder: Path) -> list[tuple[str, bytes, str, dict[str, Any]]]:
    """(key, picture, caption, json) of every sample in the tars, in order; members stand together, three by three."""
    found = [member for path in sorted(folder.glob("*.tar")) for member in members(path)]
    triples = [found[start : start + 3] for start in range(0, len(found), 3)]
    for (jpg, _), (txt, _), (about, _) in triples:
        assert jpg.removesuffix("jpg") == txt.removesuffix("txt") == about.removesuffix("json")
    return [(jpg[0].partition(".")[0], jpg[1], txt[1].decode(), json.loads(about[1])) for jpg, txt, about in triples]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("split", ["train", "validation"])
def test_every_layout_gives_the_pairs_of_the_world(layout: Layout, split: str, tmp_path: Path) -> None:
    export, planted = written(tmp_path / split, layout, split=split, seed=3)
    column = "txt,json.alt" if layout == "webdataset" else "caption,alt"
    source = opened(tmp_path / split, caption_column=column, validation_share=0.0)
    assert not planted and len(source) == 60
    for index in range(60):
        pair, made = source[index], world_sample("rich", 3, split, index, 16)
        assert pair.image == made.jpeg
        assert pair.captions == (made.caption, made.about["alt"])
        assert export.sample(index).key in pair.key


def test_shards_are_numbered_and_keyed_as_img2dataset_does(tmp_path: Path) -> None:
    written(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"0000{n}{end}" for n in range(3) for end in (".parquet", ".tar", "_stats.json")]
    keys = [key for key, *_ in pairs_in(tmp_path)]
    assert keys == [f"{index // 25:05d}{index % 25:02d}" for index in range(60)]
    assert len({about["uid"] for *_, about in pairs_in(tmp_path)}) == 60
    assert {len(about["uid"]) for *_, about in pairs_in(tmp_path)} == {32}


def test_the_parquet_beside_a_tar_says_how_every_download_ended(tmp_path: Path) -> None:
    _, planted = written(tmp_path, damage=Damage(failed_download=0.3))
    failed = {line["key"] for line in planted}
    assert {line["kind"] for line in planted} == {"failed_download"} and 5 < len(failed) < 35
    rows = [row for path in sorted(tmp_path.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    there = {key: (jpeg, about) for key, jpeg, _, about in pairs_in(tmp_path)}
    assert len(rows) == 60 and {row["key"] for row in rows} - {*there} == failed
    for row in rows:
        ended = (row["status"], row["error_message"], row["width"], row["original_height"])
        if row["key"] in failed:
            assert ended == ("failed_to_download", "HTTP Error 404: Not Found", None, None) and not row["sha256"]
            assert row["url"] and row["uid"] and row["caption"]
            continue
        assert ended == ("success", None, 16, 16)
        jpeg, about = there[row["key"]]
        assert row["sha256"] == about["sha256"] == sha256(jpeg).hexdigest()
        same = ("key", "url", "uid", "caption", "alt", "status", "error_message", "width", "original_width")
        assert {name: row[name] for name in same} == {name: about[name] for name in same}
    counts = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*_stats.json"))]
    assert [found["count"] for found in counts] == [25, 25, 10]
    assert sum(found["successes"] for found in counts) == 60 - len(failed)
    assert all(sum(found["status_dict"].values()) == found["count"] for found in counts)


def test_what_is_listed_is_damaged_as_it_says_and_the_rest_is_untouched(tmp_path: Path) -> None:
    written(tmp_path / "clean", pairs=200)
    rates: dict[str, Any] = dict.fromkeys(RATES, 0.06)
    damage = Damage(**rates)
    export, planted = written(tmp_path / "planted", pairs=200, damage=damage)
    clean = {about["uid"]: (key, jpeg, text, about) for key, jpeg, text, about in pairs_in(tmp_path / "clean")}
    found = {about["uid"]: (key, jpeg, text, about) for key, jpeg, text, about in pairs_in(tmp_path / "planted")}
    marks = {export.sample(line["index"]).about["uid"]: line for line in planted}
    assert {line["kind"] for line in planted} == {*RATES}
    assert {*clean} - {*found} == {uid for uid, line in marks.items() if line["kind"] == "failed_download"}
    by_key = {pair[0]: pair for pair in clean.values()}
    for uid, pair in found.items():
        if uid not in marks:
            assert pair == clean[uid]
        else:
            check_damage(marks[uid], clean[uid], pair, by_key)


Made = tuple[str, bytes, str, Mapping[str, Any]]


def check_damage(line: Mapping[str, Any], clean: Made, pair: Made, by_key: Mapping[str, Made]) -> None:
    kind, other = line["kind"], by_key.get(line.get("of", ""))
    key, jpeg, text, about = pair
    assert line["key"] == key
    whole = {"key": key == clean[0], "picture": jpeg == clean[1], "text": text == clean[2]}
    spoilt = {name for name, same in whole.items() if not same}
    if kind in ("corrupt_image", "zero_bytes", "truncated_image"):
        reasons = {"corrupt_image": "undecodable", "zero_bytes": "zero bytes", "truncated_image": "truncated"}
        with pytest.raises(DamagedImage, match=reasons[kind]):
            decode_image(jpeg, key)
        assert spoilt == {"picture"}
    elif kind == "duplicate_key":
        assert other and key == other[0] and spoilt == {"key"} and key[:5] == clean[0][:5]
    elif kind == "duplicate_picture":
        assert other and (jpeg, text, about["alt"]) == (other[1], other[2], other[3]["alt"])
        assert key == clean[0] and about["url"] == clean[3]["url"] != other[3]["url"]
        assert about["sha256"] == other[3]["sha256"]
    elif kind == "mismatched_caption":
        assert other and (text, about["alt"]) == (other[2], other[3]["alt"]) and spoilt <= {"text"}
        assert about["objects"] == clean[3]["objects"] and about["caption_facts"] == other[3]["caption_facts"]
    else:
        assert spoilt == {"text"} and about["alt"] != clean[3]["alt"]
        assert {"long_caption": len(text) > 5_000, "odd_caption": "\u202e" in text, "empty_caption": not text}[kind]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_pairs_are_met_as_such_in_every_layout(layout: Layout, tmp_path: Path) -> None:
    damage = Damage(zero_bytes=0.2, empty_caption=0.2, odd_caption=0.2)
    _, planted = written(tmp_path, layout, damage=damage)
    source = opened(tmp_path, validation_share=0.0)
    kinds = {line["index"]: line["kind"] for line in planted}
    assert {*kinds.values()} == {"zero_bytes", "empty_caption", "odd_caption"}
    for index in range(60):
        if kinds.get(index) == "empty_caption":
            with pytest.raises(DamagedCaption, match="no caption"):
                source[index]
        else:
            pair = source[index]
            assert (pair.image == b"") == (kinds.get(index) == "zero_bytes")
            assert ("\u202e" in pair.captions[0]) == (kinds.get(index) == "odd_caption")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_duplicate_key_leaves_both_pairs_there(layout: Layout, tmp_path: Path) -> None:
    export, planted = written(tmp_path, layout, damage=Damage(duplicate_key=0.2))
    source = opened(tmp_path, validation_share=0.0)
    keys = [source[index].key.partition(" (row ")[0] for index in range(60)]
    assert len(source) == 60 and len({*keys}) == 60 - len(planted) < 60
    if layout != "webdataset":
        assert len({source[index].key for index in range(60)}) == 60
    first = {keys[index]: export.sample(index).jpeg for index in reversed(range(60))}
    if layout == "imagefolder":  # one file, the first pair's, listed twice
        assert all(source[index].image == first[keys[index]] for index in range(60))
    else:
        assert len({source[index].image for index in range(60)}) == 60


@pytest.mark.parametrize(("number", "name"), [(-1, "00002"), (1, "00001")])
def test_a_truncated_shard_is_refused_and_its_lost_keys_are_listed(number: int, name: str, tmp_path: Path) -> None:
    written(tmp_path / "whole")
    _, planted = written(tmp_path / "cut", damage=Damage(truncated_shards=(number,)))
    before, after = (tmp_path / part / f"{name}.tar" for part in ("whole", "cut"))
    assert before.read_bytes().startswith(after.read_bytes())
    with pytest.raises(DamagedArchive, match=f"{name}.tar is truncated"):
        opened(tmp_path / "cut")
    end = after.stat().st_size
    with tarfile.open(before) as tar:
        left = {member.name for member in tar if member.offset_data + member.size <= end}
        lost = {member.name.split(".")[0] for member in tar if member.name not in left}
    assert {line["key"] for line in planted} == lost and 0 < len(lost) < 25
    assert {line["kind"] for line in planted} == {"truncated_shard"}


def test_damage_stays_in_the_shards_named(tmp_path: Path) -> None:
    _, planted = written(tmp_path, damage=Damage(corrupt_image=1.0, shards=(1,)))
    assert [line["index"] for line in planted] == list(range(25, 50))


def test_the_share_of_damaged_pairs_is_what_was_asked_for() -> None:
    damage = Damage(zero_bytes=0.1, long_caption=0.3)
    kinds = [damage.kind(generator(0, "train", index, 9)) for index in range(2_000)]
    assert abs(kinds.count("zero_bytes") / 2_000 - 0.1) < 0.03
    assert abs(kinds.count("long_caption") / 2_000 - 0.3) < 0.04
    assert {*kinds} == {"", "zero_bytes", "long_caption"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_export_is_the_same_to_the_byte(layout: Layout, tmp_path: Path) -> None:
    damage = Damage(corrupt_image=0.2, duplicate_picture=0.1)
    files = []
    for name in ("one", "two"):
        written(tmp_path / name, layout, pairs=30, damage=damage)
        paths = (path for path in sorted((tmp_path / name).rglob("*")) if path.is_file())
        files.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in paths})
    assert files[0] == files[1] and PLANTED in files[0]


def test_a_pair_is_planted_alike_whatever_the_number_of_pairs(tmp_path: Path) -> None:
    damage = Damage(corrupt_image=0.3)
    small, large = (
        {line["index"]: line for line in written(tmp_path / str(pairs), pairs=pairs, damage=damage)[1]}
        for pairs in (25, 75)
    )
    assert small == {index: line for index, line in large.items() if index < 25}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_more_than_a_shard_is_held_in_memory(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: weakref.WeakSet[Sample] = weakref.WeakSet()
    most = 0

    class Counted(Sample):
        __hash__ = object.__hash__

    def counted(preset: str, seed: int, split: str, index: int, size: int) -> Sample:
        nonlocal most
        made = Counted(**vars(world_sample("easy", seed, split, index, size)))
        alive.add(made)
        most = max(most, len(alive))
        return made

    monkeypatch.setattr(export_module, "world_sample", counted)
    written(tmp_path, layout, pairs=100, shard_size=10)
    assert 0 < most <= 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": 0}, "pairs = 0"),
        ({"split": "test"}, "split 'test' does not exist"),
        ({"layout": "arrow", "damage": {"failed_download": 0.1}}, "layout arrow has no failed downloads"),
        ({"layout": "parquet", "damage": {"truncated_shards": (0,)}}, "layout parquet has no"),
        ({"damage": {"truncated_shards": (3,)}}, "in shard 3; there are 3"),
        ({"damage": {"shards": (-4,)}}, "in shard -4"),
        ({"damage": {"corrupt_image": 0.6, "zero_bytes": 0.6}}, "add up to 1 at most"),
        ({"damage": {"corrupt_image": -0.1}}, "must be 0 or more"),
        ({"damage": {"corrupt_image": 0.5, "duplicate_key": 0.5}}, "none of 25 is: plant less"),
    ],
)
def test_what_cannot_be_made_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        written(tmp_path, **{**changes, "damage": Damage(**changes.get("damage", {}))})


def test_an_unknown_world_is_refused_with_its_neighbours(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="rich"):
        written(tmp_path, world="ritch")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="not empty"):
        written(tmp_path)


def test_pictures_have_the_size_asked_for(tmp_path: Path) -> None:
    written(tmp_path, size=40, pairs=2)
    for _, jpeg, _, about in pairs_in(tmp_path):
        assert Image.open(io.BytesIO(jpeg)).size == (about["width"], about["height"]) == (40, 40)
        assert np.asarray(decode_image(jpeg, "")).std() > 5
