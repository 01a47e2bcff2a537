import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.sources import Split, open_source
from aimv2_lab.recipes import DataRecipe
from tests.data.generated import encoded, write_shard, write_tar
from tests.data.layouts import (
    LAYOUTS,
    Layout,
    arrow_layout,
    folder_layout,
    keys,
    numbers,
    opened,
    pictures,
    write_parquet,
)


@pytest.mark.parametrize("layout", [*LAYOUTS, arrow_layout])
@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_every_layout_gives_its_splits(layout: Layout, validation: str, tmp_path: Path) -> None:
    layout(tmp_path, "train", range(8))
    layout(tmp_path, validation, range(10, 15))
    layout(tmp_path, "test", range(20, 25))
    train, held_out = opened(tmp_path), opened(tmp_path, "validation")
    assert numbers(train) == list(range(8))
    assert numbers(held_out) == list(range(10, 15))
    if layout is not arrow_layout:  # whose keys are row numbers, within a split
        assert len({*keys(train), *keys(held_out)}) == 13
    assert train.fingerprint != held_out.fingerprint


@pytest.mark.parametrize("layout", LAYOUTS)
def test_where_no_name_tells_a_split_a_hash_of_the_key_does(layout: Layout, tmp_path: Path) -> None:
    layout(tmp_path, "pairs", range(60))
    train, held_out = (opened(tmp_path, split, validation_share=0.3) for split in ("train", "validation"))
    assert sorted(numbers(train) + numbers(held_out)) == list(range(60))
    assert not {*keys(train)} & {*keys(held_out)}
    assert train.fingerprint != held_out.fingerprint
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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_test_split_is_read_where_it_is_asked_for_and_there(layout: Layout, tmp_path: Path) -> None:
    for split, chosen in (("train", range(6)), ("test", range(6, 12))):
        layout(tmp_path, split, chosen)
    assert numbers(opened(tmp_path, "test", validation_share=1.0)) == list(range(6, 12))
    assert numbers(opened(tmp_path, validation_share=0.0)) == list(range(6))


def test_a_test_split_is_never_made(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "train-00000.tar", range(6))
    for path, message in ((tmp_path, "has no test files"), (shard, "is one file: a test split is files")):
        with pytest.raises(ValueError, match=message):
            opened(path, "test")


def test_names_that_leave_the_split_open_are_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-00000.tar", range(2))
    write_shard(tmp_path / "more.tar", range(2))
    with pytest.raises(ValueError, match=r"more\.tar names no split"):
        opened(tmp_path)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_pairs_is_refused(split: Split, tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.tar", range(5))
    with pytest.raises(ValueError, match=r"validation_share = .*: (name files .*, or )?change it"):
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


def test_one_saved_table_is_held_out_by_hash(tmp_path: Path) -> None:
    arrow_layout(tmp_path, "pairs", range(60))
    parts = [opened(tmp_path / "pairs", split, validation_share=0.3) for split in ("train", "validation")]
    assert sorted(number for part in parts for number in numbers(part)) == list(range(60))
    with pytest.raises(ValueError, match="has the splits pairs: none is for train"):
        opened(tmp_path)


def test_saved_splits_of_one_data_set(tmp_path: Path) -> None:
    splits = {"train": range(4), "validation": range(4, 6)}
    made = {name: datasets.Dataset.from_dict(pictures(chosen)) for name, chosen in splits.items()}
    datasets.DatasetDict(made).save_to_disk(tmp_path)
    assert [numbers(opened(tmp_path)), numbers(opened(tmp_path, "validation"))] == [[0, 1, 2, 3], [4, 5]]


@pytest.mark.parametrize("cut", [1, 8, 500])
def test_a_saved_table_cut_off_is_refused(cut: int, tmp_path: Path) -> None:
    arrow_layout(tmp_path, "train", range(8))
    last = max((tmp_path / "train").glob("*.arrow"))
    last.write_bytes(last.read_bytes()[:-cut])
    with pytest.raises(DamagedArchive, match=f"{last.name} is truncated"):
        opened(tmp_path)


def test_img2datasets_parquet_beside_the_shards_is_no_data(tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.tar", range(3))
    write_parquet(tmp_path / "00000.parquet", {"url": ["a", "b"], "caption": ["c", "d"]}, images=False)
    assert numbers(opened(tmp_path, validation_share=0.0)) == [0, 1, 2]


@pytest.mark.parametrize("layout", [*LAYOUTS, arrow_layout])
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


def test_a_folder_named_from_here_gives_the_same_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path must not be joined to itself."""
    samples = Path(__file__).resolve().parents[2] / "data_samples"
    monkeypatch.chdir(samples)
    for layout in ("imagefolder", "parquet", "webdataset"):
        absolute = open_source(str(samples / layout), "train", DataRecipe(), 32)
        relative = open_source(layout, "train", DataRecipe(), 32)
        assert relative[3] == absolute[3]
        assert relative.fingerprint == absolute.fingerprint
