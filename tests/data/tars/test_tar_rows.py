"""Samples read through an index: the same as by tarfile, in any order, in any process, or an error."""

import json
import multiprocessing
import os
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.shares import key_shares
from aimv2_lab.data.tars import rows
from aimv2_lab.data.tars.archive import tar_files
from aimv2_lab.data.tars.index import StaleIndex
from aimv2_lab.data.tars.rows import IndexedRows
from tests.data.generated import encoded, picture, sample, write_shard, write_tar
from tests.data.layouts import keys, numbers, opened
from tests.data.tars.indexes import shards


def contents(folder: Path) -> dict[str, dict[str, bytes]]:
    """key -> extension -> content, by Python's own reader."""
    found: dict[str, dict[str, bytes]] = {}
    for shard in tar_files(folder):
        with tarfile.open(shard) as tar:
            for member in tar:
                stem, _, extension = member.name.partition(".")
                content = tar.extractfile(member)
                assert content is not None
                found.setdefault(f"{shard.name.partition('.')[0]}/{stem}", {})[extension] = content.read()
    return found


def rows_of(folder: Path) -> IndexedRows:
    return IndexedRows.open(tar_files(folder), folder)


def all_keys(rows: IndexedRows) -> list[str]:
    return [rows.key(row) for row in range(len(rows))]


def test_rows_in_any_order_are_those_of_tarfile(tmp_path: Path) -> None:
    write_shard(shards(tmp_path) / "00001.tar.xz", range(20, 25)).rename(tmp_path / "packed.tar.xz")
    rows, expected = rows_of(tmp_path), contents(tmp_path)
    assert all_keys(rows) == list(expected) and len(rows) == 17
    order = np.random.default_rng(0).permutation(17).tolist() * 2
    assert [rows[row] for row in order] == [expected[rows.key(row)] for row in order]
    assert np.array_equal(rows.shares, key_shares(expected))


@pytest.mark.parametrize("row", [-1, 12])
def test_rows_that_are_not_there(row: int, tmp_path: Path) -> None:
    with pytest.raises(IndexError, match=rf"row {row} of .*, which has 12"):
        rows_of(shards(tmp_path))[row]


def test_rows_of_some_shards_alone(tmp_path: Path) -> None:
    shards(tmp_path, 4)
    write_tar(tmp_path / "00001.tar", {})
    expected = contents(tmp_path)
    whole = rows_of(tmp_path)
    some = IndexedRows.open([tmp_path / f"{number:05d}.tar" for number in (1, 0, 3)], tmp_path)
    wanted = [key for key in expected if key.startswith(("00000/", "00003/"))]
    assert all_keys(some) == wanted
    assert [some[row] for row in range(len(some))] == [expected[key] for key in wanted]
    assert np.array_equal(some.shares, key_shares(wanted))
    assert some.fingerprint != whole.fingerprint


def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes every read asks for."""
    pread, sizes = os.pread, list[int]()

    def counted(descriptor: int, size: int, offset: int) -> bytes:
        sizes.append(size)
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    return sizes


def test_only_what_is_wanted_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = b"features" * 100_000
    write_tar(tmp_path / "a.tar", {str(n): {"npy": large} | sample(n) | {"bin": large} for n in range(2)})
    rows = rows_of(tmp_path)
    read = reads(monkeypatch)
    wanted = rows.only(["png", "txt", "json.alt", "gone"])
    assert wanted[1] == sample(1)
    assert len(read) == 1 and read[0] < 10_000  # three members at once, without their neighbours
    assert set(rows[1]) == {"npy", "png", "txt", "json", "bin"}


def test_members_far_apart_are_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = b"features" * 100_000
    write_tar(
        tmp_path / "a.tar", {"0": {"png": sample(0)["png"], "npy": large, "txt": b"x", "bin": large, "json": b"{}"}}
    )
    rows = rows_of(tmp_path).only(["png", "txt", "json"])
    read = reads(monkeypatch)
    assert rows[0] == {"png": sample(0)["png"], "txt": b"x", "json": b"{}"}
    assert len(read) == 3 and sum(read) < 10_000


def test_a_shard_written_anew_is_noticed(tmp_path: Path) -> None:
    """Of the same size to the byte, with the same names but two: their pictures would be given to wrong captions."""
    write_tar(tmp_path / "a.tar", {f"{n:04d}": {"cls": b"%d" % n} for n in range(4)})
    rows_of(tmp_path)
    size = (tmp_path / "a.tar").stat().st_size
    write_tar(tmp_path / "a.tar", {f"{n:04d}": {"cls": b"%d" % n} for n in (0, 2, 1, 3)})
    assert (tmp_path / "a.tar").stat().st_size == size
    assert rows_of(tmp_path)[0] == {"cls": b"0"}
    with pytest.raises(StaleIndex, match=r"a\.tar at byte \d+ does not hold the cls .* index again with python"):
        rows_of(tmp_path)[1]


def test_a_shard_cut_while_it_is_read(tmp_path: Path) -> None:
    rows = rows_of(shards(tmp_path))
    offset = int(rows.index.members["offset"][9])
    os.truncate(tmp_path / "00000.tar", offset + 5)
    assert rows[2] == sample(2)
    with pytest.raises(DamagedArchive, match=rf"00000\.tar gives \d+ of \d+ bytes at byte {offset - 512}"):
        rows[3]


class RowsDataset(Dataset[tuple[str, dict[str, bytes]]]):
    def __init__(self, rows: IndexedRows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[str, dict[str, bytes]]:
        return self.rows.key(index), self.rows[index]


def first(samples: list[tuple[str, dict[str, bytes]]]) -> tuple[str, dict[str, bytes]]:
    return samples[0]


@pytest.mark.parametrize("used_before", [False, True])
def test_workers_read_the_same(used_before: bool, tmp_path: Path) -> None:
    rows, expected = rows_of(shards(tmp_path)), contents(tmp_path)
    if used_before:
        assert rows[7] == expected[rows.key(7)]
    loader = DataLoader(RowsDataset(rows), batch_size=1, num_workers=2, collate_fn=first)
    assert dict(loader) == expected


def test_a_pickled_copy_is_small_and_reads_the_same(tmp_path: Path) -> None:
    rows = rows_of(shards(tmp_path, 3, 200)).only(["png"])
    assert rows[5] and rows.key(5)  # files and arrays are open
    stored = pickle.dumps(rows)
    assert len(stored) < 3_000
    copy = pickle.loads(stored)
    assert (copy.names, copy.fingerprint, all_keys(copy)) == (rows.names, rows.fingerprint, all_keys(rows))
    assert [copy[row] for row in range(600)] == [rows[row] for row in range(600)]


def _read(rows: IndexedRows, row: int) -> dict[str, bytes]:
    return rows[row]


def test_a_process_started_afresh_reads_the_same(tmp_path: Path) -> None:
    """As where workers do not begin as copies of the first process."""
    rows, expected = rows_of(shards(tmp_path)), contents(tmp_path)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_read, (rows, 6)) == expected[rows.key(6)]


def test_names_are_those_of_the_first_samples_and_of_their_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "PREVIEWED", 2)
    about = json.dumps({"alt": "x", "texts": [{"raw": "y"}]}).encode()
    samples = {"0": {"jpg": b"x"}, "1": {"txt": b"y", "meta.json": about, "json": b"{"}, "2": {"cls": b"3"}}
    write_tar(tmp_path / "a.tar", samples)
    names = ["jpg", "txt", "meta.json", "meta.json.alt", "meta.json.texts", "meta.json.texts.raw", "json"]
    assert rows_of(tmp_path).names == names


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "webp", "JPG"])
def test_pairs_of_other_origins(suffix: str, tmp_path: Path) -> None:
    """ImageNet as WebDataset has it (jpg, cls), captions in json alone, and a picture with a text."""
    form = {"jpg": "JPEG", "jpeg": "JPEG"}.get(suffix.lower(), suffix.upper())
    image = encoded(picture(1), form)
    about = json.dumps({"caption": "from json"}).encode()
    for name, beside in (("cls", {"cls": b"7"}), ("json", {"json": about}), ("txt", {"txt": b"a text"})):
        write_tar(tmp_path / name / "a.tar", {"0": {suffix: image} | beside})
    pair = {name: opened(tmp_path / name, validation_share=0.0)[0] for name in ("json", "txt")}
    assert pair["json"].captions == ("from json",) and pair["txt"].captions == ("a text",)
    assert {pair.image for pair in pair.values()} == {image}
    with pytest.raises(ValueError, match="no caption column"):
        opened(tmp_path / "cls")
    assert opened(tmp_path / "cls", validation_share=0.0, caption_column="cls")[0].captions == ("7",)


def test_a_source_of_shards_in_a_pickle(tmp_path: Path) -> None:
    source = opened(shards(tmp_path), validation_share=0.3)
    copy = pickle.loads(pickle.dumps(source))
    assert (keys(copy), numbers(copy), copy.fingerprint) == (keys(source), numbers(source), source.fingerprint)


def test_held_out_pairs_are_found_without_reading_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards(tmp_path, 3, 20)
    every = rows_of(tmp_path)
    expected = [key for key, share in zip(all_keys(every), key_shares(all_keys(every)), strict=True) if share < 0.3]
    with monkeypatch.context() as changed:
        changed.setattr(type(every.index), "key", lambda *_: pytest.fail("a key was read"))
        source = opened(tmp_path, "validation", validation_share=0.3)
    assert keys(source) == expected


def test_fingerprints_of_sources_follow_what_is_chosen(tmp_path: Path) -> None:
    shards(tmp_path, 3, 20)
    base = opened(tmp_path, validation_share=0.3).fingerprint
    assert opened(tmp_path, validation_share=0.3).fingerprint == base
    others = [opened(tmp_path, "validation", validation_share=0.3), opened(tmp_path, validation_share=0.2)]
    others += [opened(tmp_path, validation_share=0.3, caption_column="json.alt")]
    assert len({base, *(source.fingerprint for source in others)}) == 4


def test_a_source_reads_what_it_needs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tar(tmp_path / "a.tar", {"0": {"npy": bytes(1_000_000)} | sample(0) | {"bin": bytes(1_000_000)}})
    source = opened(tmp_path, validation_share=0.0)
    read = reads(monkeypatch)
    assert numbers(source) == [0]
    assert len(read) == 1 and read[0] < 10_000


def test_nothing_is_copied(tmp_path: Path) -> None:
    """The index is small beside the data."""
    data = tmp_path / "data"
    write_tar(data / "a.tar", {str(n): {"npy": bytes(1_000_000), "txt": b"x"} for n in range(5)})
    rows = rows_of(data)
    index = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".tar"]
    assert sum(path.stat().st_size for path in index) < 20_000
    assert replace(rows, wanted=frozenset(["txt"]))[4] == {"txt": b"x"}
