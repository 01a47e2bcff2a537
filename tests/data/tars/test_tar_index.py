"""The index of shards: what it holds, and what is refused as it is opened."""

import io
import os
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from aimv2_lab.data.shares import key_shares
from aimv2_lab.data.tars import indexing
from aimv2_lab.data.tars.index import StaleIndex, index_folder
from aimv2_lab.data.tars.indexing import build_index, open_index
from tests.data.generated import sample, write_shard, write_tar
from tests.data.tars.indexes import by_tarfile, described, shards, taken, with_sizes
from tests.data.tars.simulated_index import simulate_index


def test_an_index_says_where_everything_is(tmp_path: Path) -> None:
    index = build_index(shards(tmp_path))
    assert described(index) == by_tarfile(tmp_path)
    assert index.samples["shard"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    keys = [key for key, _ in described(index)]
    assert np.array_equal(index.samples["key_hash"] / 2**64, key_shares(keys))
    assert [(shard.name, shard.first, shard.samples) for shard in index.manifest.shards] == [
        (f"{number:05d}.tar", 4 * number, 4) for number in range(3)
    ]
    assert all(shard.bytes == (tmp_path / shard.name).stat().st_size for shard in index.manifest.shards)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_form_of_tar_is_indexed(form: int, tmp_path: Path) -> None:
    """Long names and others than ASCII put further headers before a member's own."""
    names = [f"{'long' * 20}/{'name' * 18}.txt"]
    names += ["é" * 40 + "/ü.txt"] if form != tarfile.USTAR_FORMAT else []
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name.encode())
            tar.addfile(info, io.BytesIO(name.encode()))
    index = build_index(tmp_path)
    content = (tmp_path / "a.tar").read_bytes()
    for (key, members), name in zip(described(index), names, strict=True):
        offset, size = members["txt"]
        assert f"{key}.txt" == f"a/{name}"
        assert content[offset : offset + size] == name.encode()


def test_opening_makes_the_index_once(tmp_path: Path, walked: list[str]) -> None:
    shards(tmp_path)
    first = open_index(tmp_path)
    again = open_index(tmp_path)
    assert len(taken(walked)) == 3
    assert again.manifest == first.manifest


def test_new_shards_are_indexed_as_a_small_folder_is_opened(tmp_path: Path, walked: list[str]) -> None:
    with_sizes(tmp_path, {0: 7})
    build_index(tmp_path, ["size"], check=False)
    taken(walked)
    write_shard(tmp_path / "00009.tar", range(3))
    index = open_index(tmp_path)
    assert taken(walked) == ["00009.tar"]
    assert described(index) == by_tarfile(tmp_path)
    assert index.manifest.columns == ("size",) and not index.manifest.checked  # as it was asked for before


def test_a_large_folder_is_indexed_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "SMALL", 3)
    shards(tmp_path, 4)
    with pytest.raises(StaleIndex, match=rf"python -m aimv2_lab\.launch\.index {tmp_path}"):
        open_index(tmp_path)
    build_index(tmp_path)
    assert described(open_index(tmp_path)) == by_tarfile(tmp_path)
    write_shard(tmp_path / "new.tar", range(3))
    with pytest.raises(StaleIndex, match=r"new\.tar.* Run python -m"):
        open_index(tmp_path)


@pytest.mark.parametrize("change", ["shortened", "grown", "missing"])
def test_shards_that_changed_are_refused(change: str, tmp_path: Path) -> None:
    shards(tmp_path)
    with_sizes(tmp_path / "more", {0: 1})
    build_index(tmp_path, ["size"])
    shard = tmp_path / "00001.tar"
    size = shard.stat().st_size
    if change == "missing":
        shard.unlink()
    else:
        new = {"shortened": size - 512, "grown": size + 1}[change]
        os.truncate(shard, new)
    expected = "is missing" if change == "missing" else f"has {new} bytes"
    again = rf"python -m aimv2_lab\.launch\.index {tmp_path} --columns size"
    with pytest.raises(StaleIndex, match=rf"00001\.tar {expected}; it had {size} bytes.*{again}"):
        open_index(tmp_path)


@pytest.mark.parametrize("harm", ["gone", "cut", "rows"])
def test_an_index_that_is_not_whole_is_refused(harm: str, tmp_path: Path) -> None:
    index = build_index(shards(tmp_path))
    file = index.folder / index.manifest.arrays / "members.npy"
    if harm == "gone":
        file.unlink()
    elif harm == "cut":
        os.truncate(file, file.stat().st_size - 10)
    else:
        np.save(file, index.members[:-1])
    with pytest.raises(StaleIndex, match=r"members\.npy .* index again with python -m"):
        open_index(tmp_path)
    assert described(build_index(tmp_path)) == by_tarfile(tmp_path)
    assert described(open_index(tmp_path)) == by_tarfile(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"version": 0}', '{"version": 1}'])
def test_another_format_is_made_anew(text: str, tmp_path: Path) -> None:
    shards(tmp_path)
    folder = build_index(tmp_path).folder
    (folder / "manifest.json").write_text(text)
    assert described(open_index(tmp_path)) == by_tarfile(tmp_path)


def test_an_index_moves_with_its_data(tmp_path: Path, walked: list[str]) -> None:
    build_index(shards(tmp_path / "data"))
    taken(walked)
    (tmp_path / "data").rename(tmp_path / "moved")
    index = open_index(tmp_path / "moved")
    assert not walked
    assert index.tars[0].exists()


def test_fingerprints_follow_names_and_sizes_alone(tmp_path: Path) -> None:
    def fingerprint(name: str, first: Path | None = None) -> str:
        return build_index(first or shards(tmp_path / name)).manifest.fingerprint

    base = fingerprint("base")
    copy = shards(tmp_path / "copy")
    os.utime(copy / "00000.tar", ns=(1, 1))
    assert fingerprint("copy", copy) == base
    renamed = shards(tmp_path / "renamed")
    (renamed / "00002.tar").rename(renamed / "00009.tar")
    turned = tmp_path / "turned"
    for number in range(3):
        write_shard(turned / f"{number:05d}.tar", range(number * 4 + 3, number * 4 - 1, -1))
    longer = shards(tmp_path / "longer")
    write_tar(longer / "00002.tar", {f"{n:08d}": sample(n) | {"txt": b"longer caption"} for n in range(8, 12)})
    fewer = shards(tmp_path / "fewer", 2)
    found = [base, *(fingerprint("", folder) for folder in (renamed, turned, longer, fewer))]
    assert len({*found}) == 5


def test_a_folder_of_empty_tars_has_no_samples(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {})
    write_shard(tmp_path / "b.tar", range(2))
    assert [shard.samples for shard in open_index(tmp_path).manifest.shards] == [0, 2]
    write_tar(tmp_path / "none" / "a.tar", {})
    assert open_index(tmp_path / "none").manifest.samples == 0


def test_a_million_samples_are_mapped_and_not_read(tmp_path: Path) -> None:
    simulate_index(tmp_path, 100, 10_000)
    files = index_folder(tmp_path).glob("arrays-*/**/*.npy")
    assert sum(path.stat().st_size for path in files) > 110_000_000
    tracemalloc.start()
    index = open_index(tmp_path)
    key = index.key(999_999)
    allocated = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert key == "00099/000999999"
    assert allocated < 1_000_000  # a hundred shards' names and sizes
    for array in (index.samples, index.members, index.key_bytes, index.key_ends, index.column("width")):
        assert isinstance(array.base, np.memmap) and array.base.mode == "r"
