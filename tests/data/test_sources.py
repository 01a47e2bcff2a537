import gzip
import json
import lzma
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from aimv2_lab.data.columns import MissingColumn
from aimv2_lab.data.damage import DamagedCaption, DamagedImage, DamagedPair
from aimv2_lab.data.images import decode_image
from aimv2_lab.data.records import Source
from aimv2_lab.data.sources import Split, open_source
from aimv2_lab.data.tars import DamagedArchive, walk_tar
from aimv2_lab.recipes import DataRecipe
from tests.data.generated import encoded, picture, sample, write_image_folder, write_shard, write_tar


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    datasets.disable_progress_bars()


def opened(path: Path | str, split: Split = "train", **changes: Any) -> Source:
    return open_source(str(path), split, replace(DataRecipe(), **changes), 16)


def keys(source: Source) -> list[str]:
    return [source[index].key for index in range(len(source))]


def numbers(source: Source) -> list[int]:
    """Which generated pictures a source holds, by their captions; their pixels must agree."""
    found = []
    for index in range(len(source)):
        pair = source[index]
        number = int(pair.captions[0].rpartition(" ")[2])
        assert np.array_equal(np.asarray(decode_image(pair.image, pair.key)), np.asarray(picture(number)))
        found.append(number)
    return found


def write_parquet(path: Path, columns: Mapping[str, Sequence[object]], images: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_dict(dict(columns))
    if images:
        table = table.cast_column("image", datasets.Image())
    table.to_parquet(str(path))
    return path


def pictures(chosen: Sequence[int]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {"image": [{"bytes": encoded(picture(n)), "path": None} for n in chosen]}
    return columns | {"text": [f"caption {n}" for n in chosen]}


def tar_layout(root: Path, split: str, chosen: Sequence[int]) -> None:
    write_shard(root / f"{split}-00000.tar.xz", chosen[: len(chosen) // 2])
    write_shard(root / f"{split}-00001.tar", chosen[len(chosen) // 2 :])


def parquet_layout(root: Path, split: str, chosen: Sequence[int]) -> None:
    write_parquet(root / f"{split}-a.parquet", pictures(chosen[:3]))
    write_parquet(root / f"{split}-b.parquet", pictures(chosen[3:]))


def folder_layout(root: Path, split: str, chosen: Sequence[int]) -> None:
    lines = [{"file_name": f"{n}.png", "text": f"caption {n}"} for n in chosen]
    write_image_folder(root / split, lines)
    for n in chosen:
        (root / split / f"{n}.png").write_bytes(encoded(picture(n)))


LAYOUTS = [tar_layout, parquet_layout, folder_layout]
Layout = Callable[[Path, str, Sequence[int]], None]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_every_layout_gives_its_splits(layout: Layout, validation: str, tmp_path: Path) -> None:
    layout(tmp_path, "train", range(8))
    layout(tmp_path, validation, range(10, 15))
    layout(tmp_path, "test", range(20, 25))
    train, held_out = opened(tmp_path), opened(tmp_path, "validation")
    assert numbers(train) == list(range(8))
    assert numbers(held_out) == list(range(10, 15))
    assert len({*keys(train), *keys(held_out)}) == 13
    assert train.fingerprint != held_out.fingerprint


@pytest.mark.parametrize("layout", LAYOUTS)
def test_where_no_name_tells_a_split_a_hash_of_the_key_does(layout: Layout, tmp_path: Path) -> None:
    layout(tmp_path, "pairs", range(60))
    train, held_out = (opened(tmp_path, split, validation_share=0.3) for split in ("train", "validation"))
    assert sorted(numbers(train) + numbers(held_out)) == list(range(60))
    assert not {*keys(train)} & {*keys(held_out)}
    assert 6 <= len(held_out) <= 32
    again = opened(tmp_path, "validation", validation_share=0.3)
    assert keys(again) == keys(held_out)


def test_pairs_stay_held_out_when_others_are_added(tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.tar", range(60))
    before = {*keys(opened(tmp_path, "validation", validation_share=0.3))}
    write_shard(tmp_path / "00001.tar", range(60, 90))
    after = {*keys(opened(tmp_path, "validation", validation_share=0.3))}
    assert before < after
    assert {key for key in after if key.startswith("00000/")} == before


def test_shards_without_a_split_name_are_training_data_beside_named_validation(tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.tar", range(4))
    write_shard(tmp_path / "valley.tar", range(4, 6))  # begins with "val" but names no split
    write_shard(tmp_path / "val2500-00000.tar", range(10, 13))
    assert numbers(opened(tmp_path)) == list(range(6))
    assert numbers(opened(tmp_path, "validation")) == [10, 11, 12]


def test_names_that_leave_the_split_open_are_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-00000.tar", range(2))
    write_shard(tmp_path / "more.tar", range(2))
    with pytest.raises(ValueError, match=r"more\.tar names no split"):
        opened(tmp_path)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_pairs_is_refused(split: Split, tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.tar", range(5))
    with pytest.raises(ValueError, match=r"validation_share = .*: change it"):
        opened(tmp_path, split, validation_share=1.0 if split == "train" else 0.0)


def test_no_training_files_is_an_error(tmp_path: Path) -> None:
    write_shard(tmp_path / "val-00000.tar", range(2))
    with pytest.raises(ValueError, match="no train files"):
        opened(tmp_path)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".tgz"])
def test_one_shard_by_name(suffix: str, tmp_path: Path) -> None:
    written = write_shard(tmp_path / f"val-7{suffix.replace('tgz', 'tar.gz')}", range(6))
    source = opened(written.rename(tmp_path / f"val-7{suffix}"), validation_share=0.0)
    assert numbers(source) == list(range(6))
    assert keys(source)[1] == "val-7/00000001"


def test_one_parquet_file_and_one_list_by_name(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", pictures(range(4)))
    assert numbers(opened(path, validation_share=0.0)) == [0, 1, 2, 3]
    folder_layout(tmp_path, "pictures", range(3))
    assert numbers(opened(tmp_path / "pictures" / "metadata.jsonl", validation_share=0.0)) == [0, 1, 2]


def test_shards_of_any_kind_of_member(tmp_path: Path) -> None:
    """Upper case, folders, dots in extensions, other members, other pictures in one shard, members in any order."""
    image = encoded(picture(1))
    write_tar(
        tmp_path / "00000.tar",
        {
            "a/1": {"JPG": image, "txt": b"caption 1", "cls": b"7", "features.npy": b"\x93NUMPY"},
            "a/2": {"txt": b"caption 1", "json": b"{}", "WEBP": encoded(picture(1), "WEBP", lossless=True)},
            "./b/1": {"jpeg": image, "txt": b"caption 1"},
            "b/1": {"jpeg": image, "txt": b"caption 1"},  # the same name once more: a sample of its own
            "b/.hidden": {"txt": b"not a sample"},
        },
    )
    source = opened(tmp_path, validation_share=0.0)
    assert keys(source) == ["00000/a/1", "00000/a/2", "00000/b/1", "00000/b/1"]
    assert numbers(source) == [1, 1, 1, 1]


def test_kinds_of_pictures_that_come_later_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aimv2_lab.data.layouts.PREVIEWED", 2)
    lossless = encoded(picture(2), "WEBP", lossless=True)
    write_tar(tmp_path / "00000.tar", {"0": sample(0), "1": sample(1), "2": {"webp": lossless, "txt": b"caption 2"}})
    assert numbers(opened(tmp_path, validation_share=0.0)) == [0, 1, 2]


def test_shards_of_one_name_in_two_folders_have_keys_of_their_own(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_shard(tmp_path / folder / "00000.tar", range(3))
    assert len({*keys(opened(tmp_path, validation_share=0.0))}) == 6


def test_img2datasets_parquet_beside_the_shards_is_no_data(tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.tar", range(3))
    write_parquet(tmp_path / "00000.parquet", {"url": ["a", "b"], "caption": ["c", "d"]}, images=False)
    assert numbers(opened(tmp_path, validation_share=0.0)) == [0, 1, 2]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize("where", ["a member", "its header", "between members", "first block"])
def test_a_tar_cut_anywhere_is_an_error(compress: Callable[[bytes], bytes], where: str, tmp_path: Path) -> None:
    """Cut first and then compressed: the compression is whole, so that only the tar itself can tell."""
    content = write_shard(tmp_path / "whole.tar", range(5)).read_bytes()
    starts = [offset for offset in range(0, len(content), 512) if content[offset + 257 : offset + 262] == b"ustar"]
    cut = {
        "a member": starts[7] + 512 + 5,
        "its header": starts[7] + 100,
        "between members": starts[7],
        "first block": 90,
    }
    suffix = {bytes: ".tar", gzip.compress: ".tar.gz", lzma.compress: ".tar.xz"}[compress]
    shard = tmp_path / "data" / f"00003{suffix}"
    shard.parent.mkdir()
    shard.write_bytes(compress(content[: cut[where]]))
    with pytest.raises(DamagedArchive, match=r"00003.* is truncated or damaged at byte \d+"):
        opened(shard.parent)


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz"])
@pytest.mark.parametrize("kept", [0.2, 0.7, 0.999])
def test_a_compressed_tar_cut_anywhere_is_an_error(suffix: str, kept: float, tmp_path: Path) -> None:
    path = write_shard(tmp_path / f"00000{suffix}", range(30))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(DamagedArchive, match=r"00000.* is truncated or damaged"):
        opened(tmp_path)


def test_joined_tars_are_an_error(tmp_path: Path) -> None:
    """Readers stop at the first end-of-archive mark and would never see the second half."""
    content = write_shard(tmp_path / "whole.tar", range(5)).read_bytes()
    (tmp_path / "whole.tar").write_bytes(content * 2)
    with pytest.raises(DamagedArchive, match="two tars were joined"):
        opened(tmp_path)


@pytest.mark.parametrize("content", [b"", b"this is no tar" * 100, bytes(100)])
def test_what_is_no_tar_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "00000.tar").write_bytes(content)
    with pytest.raises(DamagedArchive, match="at byte 0"):
        opened(tmp_path)


def test_a_damaged_header_is_no_end(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "00000.tar", range(5))
    content = bytearray(path.read_bytes())
    starts = [offset for offset in range(0, len(content), 512) if content[offset + 257 : offset + 262] == b"ustar"]
    content[starts[4] + 150] ^= 0xFF  # the checksum
    path.write_bytes(content)
    with pytest.raises(DamagedArchive, match=f"at byte {starts[4]} .*header is damaged"):
        list(walk_tar(path))


def test_a_shard_truncated_after_it_was_cached_is_noticed(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "00000.tar", range(5))
    assert len(opened(tmp_path, validation_share=0.0)) == 5
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DamagedArchive):
        opened(tmp_path)


def test_a_truncated_parquet_file_is_an_error(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", pictures(range(4)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedArchive, match=r"a\.parquet is no whole Parquet"):
        opened(tmp_path)


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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fingerprints_tell_data_apart_and_do_not_depend_on_the_place(layout: Layout, tmp_path: Path) -> None:
    layout(tmp_path / "one", "train", range(6))
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    layout(tmp_path / "longer", "train", range(7))
    layout(tmp_path / "reordered", "train", [5, 0, 1, 2, 3, 4])
    found = {name: opened(tmp_path / name).fingerprint for name in ("one", "copy", "longer", "reordered")}
    assert found["one"] == found["copy"] == opened(tmp_path / "one").fingerprint
    assert len({*found.values()}) == 3


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("", ValueError, "data.source is empty"),
        ("./nowhere", FileNotFoundError, "no such file"),
        ("/no/such/folder", FileNotFoundError, "no such file"),
        ("gone.tar", FileNotFoundError, "no such file"),
    ],
)
def test_a_source_that_is_not_there(spec: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        opened(spec)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.odt").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"expected WebDataset .* found \.odt"):
        opened(tmp_path)


def hub(monkeypatch: pytest.MonkeyPatch, **splits: Sequence[int]) -> list[tuple[Any, ...]]:
    """Make `load_dataset` answer with generated splits; returns the calls it will get."""
    calls: list[tuple[Any, ...]] = []

    def load(*arguments: Any) -> datasets.DatasetDict:
        calls.append(arguments)
        made = {name: datasets.Dataset.from_dict(pictures(chosen)) for name, chosen in splits.items()}
        return datasets.DatasetDict(made).cast_column("image", datasets.Image())

    monkeypatch.setattr(datasets, "load_dataset", load)
    return calls


def test_a_hub_data_set_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = hub(monkeypatch, train=range(5), validation=range(5, 8), test=range(8, 10))
    assert numbers(opened("owner/name")) == list(range(5))
    assert numbers(opened("owner/name:small", "validation")) == [5, 6, 7]
    assert calls == [("owner/name", None), ("owner/name", "small")]


def test_a_hub_data_set_without_validation_holds_out(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, train=range(50))
    train, held_out = (opened("owner/name", split, validation_share=0.3) for split in ("train", "validation"))
    assert len(held_out) > 3
    assert sorted(numbers(train) + numbers(held_out)) == list(range(50))


def test_a_hub_data_set_with_other_splits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, first=range(3), second=range(3))
    with pytest.raises(ValueError, match="has the splits first, second"):
        opened("owner/name")


def test_a_hub_data_set_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_arguments: Any) -> None:
        raise ConnectionError("offline")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(ValueError, match=r"'owner/name' is no file or folder here .* offline"):
        opened("owner/name")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_generated_world_by_name(split: Split) -> None:
    source = opened("world:easy", split)
    image = source[3].image
    assert isinstance(image, Image.Image) and image.size == (16, 16)
    assert source[3].captions


def test_greyscale_files_come_as_they_are(tmp_path: Path) -> None:
    """Sources hand over encoded files; converting them is decoding's part."""
    grey = encoded(Image.new("L", (16, 16), 7))
    write_tar(tmp_path / "00000.tar", {"0": {"png": grey, "txt": b"grey"}})
    assert opened(tmp_path, validation_share=0.0)[0].image == grey
