"""Making the index of shards: what is walked again, in which processes, and where the index lies."""

import errno
import fcntl
import gzip
import multiprocessing
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aimv2_lab.data import reading
from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.tars import walk
from aimv2_lab.data.tars.archive import Member, walk_tar
from aimv2_lab.data.tars.index import StaleIndex, index_folder
from aimv2_lab.data.tars.indexing import build_index, open_index, read_index
from tests.data.generated import write_shard, write_tar
from tests.data.tars.indexes import by_tarfile, described, shards, taken


def test_processes_give_the_same_index(tmp_path: Path) -> None:
    one = build_index(shards(tmp_path))
    shutil.rmtree(one.folder)
    several = build_index(tmp_path, workers=2)
    assert described(several) == by_tarfile(tmp_path)
    assert several.manifest.fingerprint == one.manifest.fingerprint
    assert several.manifest.shards == one.manifest.shards


def test_shards_of_different_members_share_one_list_of_extensions(tmp_path: Path) -> None:
    for name, extensions in (("a", ("jpg", "txt")), ("b", ("txt", "cls")), ("c", ("png", "jpg", "cls"))):
        write_tar(tmp_path / f"{name}.tar", {"0": {extension: extension.encode() for extension in extensions}})
    index = build_index(tmp_path, check=False)
    assert index.manifest.extensions == ("jpg", "txt", "cls", "png")
    assert described(index) == by_tarfile(tmp_path)


def _arrays(data: Path) -> str:
    return build_index(data).manifest.arrays


def test_processes_that_index_at_once_make_one_index(tmp_path: Path) -> None:
    """As the ranks of a run do that opens its data for the first time."""
    shards(tmp_path, 8, 20)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        made = pool.map(_arrays, [tmp_path] * 4)
    assert len({*made}) == 1
    assert [path.name for path in index_folder(tmp_path).glob("arrays-*")] == made[:1]
    assert described(open_index(tmp_path)) == by_tarfile(tmp_path)


def test_whoever_waits_for_another_process_is_told_which(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build_index(shards(tmp_path))
    with (index_folder(tmp_path) / "lock").open("a") as lock, ThreadPoolExecutor() as threads:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threads.submit(build_index, tmp_path)
        until = time.monotonic() + 5
        while not caplog.messages and time.monotonic() < until:
            time.sleep(0.01)
        waits = not waiting.done()
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert waits and waiting.result().manifest.samples == 12
    assert caplog.messages[0].startswith(f"waiting for process {os.getpid()} on {socket.gethostname()}, which indexes")


@pytest.mark.parametrize("locks", [True, False])
def test_only_whoever_keeps_others_out_removes_what_is_old(
    locks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without locks another process may be writing it, or reading from it."""
    write_shard(tmp_path / "a.tar.gz", range(2))
    before = build_index(tmp_path)
    old = {before.tars[0], before.folder / "arrays-other", before.folder / "arrays-another"}
    abandoned, writing = (before.folder / "unpacked" / f"writing-{name}-b.tar" for name in ("old", "new"))
    for folder in [path for path in old if path.name.startswith("arrays-")]:
        folder.mkdir()
        os.utime(folder, (1, 1))
    abandoned.touch()
    writing.touch()
    os.utime(abandoned, (1, 1))

    def without_locks(_file: object, _kind: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    if not locks:
        monkeypatch.setattr(fcntl, "flock", without_locks)
    write_shard(tmp_path / "a.tar.gz", range(3))
    assert build_index(tmp_path).manifest.samples == 3
    assert {path for path in [*old, abandoned, writing] if path.exists()} == (
        {writing} if locks else {*old, abandoned, writing}
    )
    assert any("cannot be locked (no locks available)" in message for message in caplog.messages) != locks


def test_a_killed_process_is_told_in_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel kills one where memory runs out."""

    def killed(tar: Path, shard: Path) -> Iterator[Member]:
        if shard.name == "00004.tar":
            os.kill(os.getpid(), signal.SIGKILL)
        return walk_tar(tar, shard)

    shards(tmp_path, 5)
    with monkeypatch.context() as changed, pytest.raises(ChildProcessError, match=r"killed.*memory.*--workers 2\)"):
        changed.setattr(walk, "walk_tar", killed)
        build_index(tmp_path, workers=4)
    assert build_index(tmp_path).manifest.samples == 20


def test_an_interrupted_indexing_goes_on(tmp_path: Path, walked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shards(tmp_path, 5)

    def interrupted(tar: Path, shard: Path) -> Iterator[Member]:
        walked.append(shard.name)
        if shard.name == "00003.tar":
            raise KeyboardInterrupt
        return walk_tar(tar, shard)

    with monkeypatch.context() as changed, pytest.raises(KeyboardInterrupt):
        changed.setattr(walk, "walk_tar", interrupted)
        build_index(tmp_path)
    assert read_index(tmp_path) is None
    assert taken(walked) == ["00000.tar", "00001.tar", "00002.tar", "00003.tar"]
    assert described(build_index(tmp_path)) == by_tarfile(tmp_path)
    assert taken(walked) == ["00003.tar", "00004.tar"]


def test_only_what_changed_is_walked_again(tmp_path: Path, walked: list[str]) -> None:
    shards(tmp_path, 4)
    build_index(tmp_path)
    taken(walked)
    write_shard(tmp_path / "00001.tar", range(40, 49))  # another size
    later = (tmp_path / "00002.tar").stat().st_mtime_ns + 10**9
    os.utime(tmp_path / "00002.tar", ns=(later, later))  # another time
    (tmp_path / "00003.tar").unlink()
    write_shard(tmp_path / "00004.tar", range(3))
    index = build_index(tmp_path)
    assert taken(walked) == ["00001.tar", "00002.tar", "00004.tar"]
    assert described(index) == by_tarfile(tmp_path)
    parts = {path.name for path in index_folder(tmp_path).rglob("*.npz")}
    assert parts == {f"{number:05d}.tar.npz" for number in (0, 1, 2, 4)}


def test_a_part_that_cannot_be_read_is_made_anew(tmp_path: Path, walked: list[str]) -> None:
    shards(tmp_path)
    part = index_folder(tmp_path) / "parts" / "00001.tar.npz"
    build_index(tmp_path)
    taken(walked)
    part.write_bytes(part.read_bytes()[:-30])
    assert described(build_index(tmp_path)) == by_tarfile(tmp_path)
    assert taken(walked) == ["00001.tar"]


def test_the_same_index_is_kept_and_the_one_before_too(tmp_path: Path) -> None:
    """A run may be reading from the index before."""
    names = [build_index(shards(tmp_path, count)).manifest.arrays for count in (1, 1, 2, 3)]
    assert names[0] == names[1] and len({*names}) == 3
    assert {path.name for path in index_folder(tmp_path).glob("arrays-*")} == {*names[2:]}


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar.xz", ".txz"])
def test_compressed_shards_are_unpacked_once(
    suffix: str, tmp_path: Path, walked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compression = "gz" if suffix.endswith("gz") else "xz"
    for number in range(2):
        written = write_shard(tmp_path / f"{number:05d}.tar.{compression}", range(number * 3, number * 3 + 3))
        written.rename(tmp_path / f"{number:05d}{suffix}")
    index = open_index(tmp_path)
    assert [tar.stat().st_size for tar in index.tars] == [shard.tar_bytes for shard in index.manifest.shards]
    plain = shards(tmp_path / "plain", 2, 3)
    assert [(key, sizes) for key, sizes in described(index)] == described(build_index(plain))
    assert index.manifest.shards[0].pairs == build_index(plain).manifest.shards[0].pairs
    shutil.rmtree(plain)
    times = [tar.stat().st_mtime_ns for tar in index.tars]
    assert build_index(tmp_path).manifest == index.manifest
    assert [tar.stat().st_mtime_ns for tar in open_index(tmp_path).tars] == times

    taken(walked)
    written = write_shard(tmp_path / f"new.tar.{compression}", range(9))
    written.rename(tmp_path / f"00001{suffix}")
    index = build_index(tmp_path)
    assert taken(walked) == [f"00001{suffix}"]
    assert index.tars[0].stat().st_mtime_ns == times[0]
    assert sorted(path for path in (index.folder / "unpacked").rglob("*") if path.is_file()) == index.tars
    index.tars[0].unlink()
    assert open_index(tmp_path).tars[0].exists()


def test_nothing_unpacked_is_left_of_a_damaged_shard(tmp_path: Path) -> None:
    whole = write_shard(tmp_path / "whole.tar", range(5)).read_bytes()
    (tmp_path / "whole.tar").unlink()
    (tmp_path / "cut.tar.gz").write_bytes(gzip.compress(whole[:5000]))
    (tmp_path / "end.tar.gz").write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(DamagedArchive, match=r"(?s)2 of 2 shards.*cut\.tar\.gz.*end\.tar\.gz"):
        build_index(tmp_path)
    left = [path for path in index_folder(tmp_path).rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["lock"]


def test_a_shard_that_grows_while_it_is_indexed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards(tmp_path)

    def growing(tar: Path, shard: Path) -> Iterator[Member]:
        yield from walk_tar(tar, shard)
        with tar.open("ab") as file:
            file.write(bytes(512))

    with monkeypatch.context() as changed:
        changed.setattr(walk, "walk_tar", growing)
        build_index(tmp_path)
    with pytest.raises(StaleIndex, match=r"00000\.tar has"):
        open_index(tmp_path)


def test_passing_errors_of_the_file_system_do_not_end_an_indexing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [errno.EIO, errno.ESTALE]

    def failing(tar: Path, shard: Path) -> Iterator[Member]:
        for number, member in enumerate(walk_tar(tar, shard)):
            if number == 4 and failures:
                raise OSError(failures.pop(), "in passing")
            yield member

    monkeypatch.setattr(reading, "DELAYS", (0.0, 0.0))
    monkeypatch.setattr(walk, "walk_tar", failing)
    assert described(build_index(shards(tmp_path))) == by_tarfile(tmp_path)
    assert not failures
    failures += [errno.EIO] * 3
    write_shard(tmp_path / "new.tar", range(3))
    with pytest.raises(OSError, match=r"in passing 3 times over: .*new\.tar, indexed in "):
        build_index(tmp_path)


def test_a_shard_beside_its_compressed_copy_is_refused(tmp_path: Path) -> None:
    for suffix in (".tar", ".tar.gz"):
        write_shard(tmp_path / f"00000{suffix}", range(2))
    with pytest.raises(ValueError, match=r"00000\.tar and 00000\.tar\.gz would give pairs of the same keys"):
        build_index(tmp_path)


def read_only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make a folder answer as one that cannot be written; the superuser could write it whatever its mode."""
    access = os.access

    def refused(path: Path, mode: int) -> bool:
        return not (mode & os.W_OK and Path(path).is_relative_to(folder)) and access(path, mode)

    monkeypatch.setattr(os, "access", refused)


@pytest.mark.parametrize("one_tar", [False, True])
def test_data_that_cannot_be_written_to_are_indexed_in_the_cache(
    one_tar: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shards(tmp_path / "data", 1, suffix=".tar.xz")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    read_only(monkeypatch, tmp_path / "data")
    before = sorted(data.rglob("*"))
    index = open_index(data / "00000.tar.xz" if one_tar else data)
    assert [key for key, _ in described(index)] == [f"00000/{number:08d}" for number in range(4)]
    assert sorted(data.rglob("*")) == before
    assert index.folder.parent == tmp_path / "cache" / "aimv2_lab"
    assert index.tars[0].is_relative_to(index.folder)
    assert open_index(index.data).manifest == index.manifest
    other = shards(tmp_path / "data" / "other", 1)
    assert index_folder(other) != index.folder


def test_without_a_variable_the_cache_is_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    read_only(monkeypatch, tmp_path / "data")
    assert index_folder(shards(tmp_path / "data")).parent == tmp_path / "home" / ".cache" / "aimv2_lab"


def test_an_index_beside_data_that_cannot_be_written_to_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, walked: list[str]
) -> None:
    data = shards(tmp_path / "data")
    beside = build_index(data)
    taken(walked)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    read_only(monkeypatch, data)
    assert open_index(data) == beside and not walked
    write_shard(data / "new.tar", range(2))
    assert open_index(data).folder.parent == tmp_path / "cache" / "aimv2_lab"
    assert len(taken(walked)) == 4
    assert open_index(data).manifest.samples == 14 and not walked


def test_other_contents_of_the_same_size_are_noticed_by_their_time_when_indexed_again(
    tmp_path: Path, walked: list[str]
) -> None:
    """Copying changes times, so that opening an index goes by sizes alone."""
    shard = write_shard(tmp_path / "a.tar", range(2))
    index = open_index(tmp_path)
    shard.write_bytes(shard.read_bytes().replace(b"caption 1", b"caption 7"))
    os.utime(shard, ns=(1, 1))
    taken(walked)
    assert open_index(tmp_path).manifest == index.manifest and not walked
    build_index(tmp_path)
    assert taken(walked) == ["a.tar"]
