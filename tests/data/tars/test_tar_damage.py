"""What indexing finds damaged: shards that are refused, members and pairs that are listed."""

import io
import os
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.tars.index import index_folder
from aimv2_lab.data.tars.indexing import build_index, open_index
from tests.data.generated import encoded, picture, sample, write_shard, write_tar
from tests.data.tars.indexes import damage, described, shards, taken


def test_all_damaged_shards_are_named(tmp_path: Path, walked: list[str]) -> None:
    shards(tmp_path, 6)
    for number in (1, 4):
        os.truncate(tmp_path / f"{number:05d}.tar", 3000)
    with pytest.raises(DamagedArchive, match=r"(?s)2 of 6 shards.*00001\.tar is truncated.*00004\.tar is truncated"):
        build_index(tmp_path, workers=2)
    for number in (1, 4):
        (tmp_path / f"{number:05d}.tar").unlink()
    build_index(tmp_path)
    assert not taken(walked)  # the good ones were indexed


def test_a_tar_cut_at_any_block_is_refused(tmp_path: Path) -> None:
    content = write_shard(tmp_path / "a.tar", range(3)).read_bytes()
    end = content.rstrip(b"\0")
    for length in range(0, len(end) + 512, 256):
        (tmp_path / "a.tar").write_bytes(content[:length])
        with pytest.raises(DamagedArchive, match=r"a\.tar is truncated or damaged"):
            build_index(tmp_path)


def test_what_is_damaged_is_listed_and_stays(tmp_path: Path) -> None:
    good = sample(0)
    members: dict[str, Mapping[str, bytes]] = {
        "good": good,
        "empty": good | {"png": b""},
        "wrong": good | {"png": b"no picture"},
        "small": good | {"png": encoded(picture(0, 4, 4))},
        "silent": good | {"txt": b""},
        "./good": good,
    }
    write_tar(tmp_path / "a.tar", members)
    index = build_index(tmp_path)
    found = damage(index)
    assert [(key, member, reason.partition(":")[0]) for key, member, reason in found] == [
        ("a/empty", "png", "zero bytes"),
        ("a/wrong", "png", "undecodable"),
        ("a/small", "png", "too small"),
        ("a/silent", "txt", "zero bytes"),
        ("a/good", "", "duplicate key"),
    ]
    assert index.manifest.damaged == 5
    assert [key for key, _ in described(index)] == ["a/good", "a/empty", "a/wrong", "a/small", "a/silent", "a/good"]
    shutil.rmtree(index_folder(tmp_path))
    unchecked = damage(build_index(tmp_path, check=False))
    assert [entry for entry in unchecked if entry[1] == "png"] == [found[0]]


def test_parts_without_a_check_do_not_serve_for_one_with_it(tmp_path: Path, walked: list[str]) -> None:
    write_tar(tmp_path / "a.tar", {"0": sample(0) | {"png": b"no picture"}})
    assert not damage(build_index(tmp_path, check=False))
    assert len(damage(build_index(tmp_path))) == 1
    taken(walked)
    build_index(tmp_path, check=False)
    assert not taken(walked)


def test_opening_a_folder_with_damaged_members_tells(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"0": sample(0), "1": sample(1) | {"png": b""}})
    with pytest.warns(UserWarning, match=r"1 members or pairs are damaged.*aimv2_lab\.launch\.index"):
        open_index(tmp_path)


def test_links_and_members_of_no_sample_are_not_lost_in_silence(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"0": sample(0), "._0": {"png": b"of another system"}})
    with tarfile.open(path, "a") as tar:
        for name, kind in (("0b.png", tarfile.LNKTYPE), ("folder", tarfile.DIRTYPE), ("README", tarfile.REGTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "0.png" if kind == tarfile.LNKTYPE else ""
            tar.addfile(info)
    index = build_index(tmp_path)
    assert damage(index) == [("a/0b", "png", "no regular file: link to 0.png")]
    assert index.manifest.passed_over == 2
    assert [len(members) for _, members in described(index)] == [3, 0]


def test_a_sparse_member_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("0.npy")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9000"}
    info.size = 1024
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(info, io.BytesIO(b"1\n0\n100\n".ljust(1024, b"\0")))
    with pytest.raises(DamagedArchive, match=r"0\.npy is stored as a sparse file"):
        build_index(tmp_path)


def test_names_full_of_dots_are_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aimv2_lab.data.tars.parts._EXTENSIONS_LIMIT", 3)
    write_tar(tmp_path / "a.tar", {f"picture.{number}": {"txt": b"x"} for number in range(5)})
    with pytest.raises(ValueError, match=r"more than 3 kinds of members.* 3\.txt.*first dot"):
        build_index(tmp_path)
