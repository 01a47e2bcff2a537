"""Reading pieces of files through passing errors of the file system."""

import errno
import gc
import os
import resource
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aimv2_lab.data import mixture, reading
from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.layouts import TableRows
from aimv2_lab.data.reading import DELAYS, PASSING_ERRORS, PieceReader, open_limit, with_retries
from aimv2_lab.data.sources import open_source
from aimv2_lab.data.tars.index import MANIFEST
from aimv2_lab.data.tars.indexing import build_index, open_index
from aimv2_lab.recipes import DataRecipe
from tests.data.generated import write_shard
from tests.data.layouts import opened, pictures, write_parquet


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "00007.tar"
    path.write_bytes(bytes(range(200)))
    return path


def failing(monkeypatch: pytest.MonkeyPatch, number: int, times: int) -> list[int]:
    """Let `os.pread` fail so many times; returns the descriptors it will be asked for."""
    asked: list[int] = []
    pread = os.pread

    def fail(descriptor: int, size: int, offset: int) -> bytes:
        asked.append(descriptor)
        if len(asked) <= times:
            raise OSError(number, os.strerror(number))
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", fail)
    return asked


@pytest.mark.parametrize("number", sorted(PASSING_ERRORS))
def test_passing_errors_are_tried_again_ever_more_slowly(
    number: int, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slept: list[float] = []
    failing(monkeypatch, number, 3)
    assert PieceReader(slept.append).read(file, 10, 5) == bytes(range(10, 15))
    assert slept == list(DELAYS[:3])
    assert all(later == 2 * before for before, later in pairwise(slept))
    assert len(caplog.messages) == 3 and "00007.tar at byte 10; trying again in 0.5 s" in caplog.messages[0]


def test_errors_that_do_not_pass_are_raised_with_the_place(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    asked = failing(monkeypatch, errno.ESTALE, 100)
    with pytest.raises(OSError, match=r"8 times over: .*00007\.tar at byte 10") as raised:
        PieceReader(slept.append).read(file, 10, 5)
    assert raised.value.errno == errno.ESTALE
    assert len(asked) == len(DELAYS) + 1
    assert slept == list(DELAYS) and 30 < sum(slept) < 120


def test_other_errors_are_raised_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    failing(monkeypatch, errno.EACCES, 100)
    with pytest.raises(PermissionError, match=r"00007\.tar at byte 10"):
        PieceReader(slept.append).read(file, 10, 5)
    with pytest.raises(FileNotFoundError, match=r"gone\.tar at byte 0"):
        PieceReader(slept.append).read(file.with_name("gone.tar"), 0, 5)
    assert not slept


def test_a_file_replaced_under_a_stale_descriptor_is_opened_anew(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a server was changed: the old descriptor never recovers."""
    reader = PieceReader(lambda _: None)
    assert reader.read(file, 0, 1) == b"\0"
    other = file.with_name("other")
    other.write_bytes(b"replaced")
    os.replace(other, file)
    assert reader.read(file, 0, 8) == bytes(range(8))  # of the file that was opened
    failing(monkeypatch, errno.ESTALE, 1)
    assert reader.read(file, 0, 8) == b"replaced"


def test_a_short_read_goes_on_and_the_end_is_damage(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DamagedArchive, match=r"00007\.tar gives 10 of 50 bytes at byte 190"):
        PieceReader().read(file, 190, 50)
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, size, offset: pread(descriptor, min(size, 7), offset))
    assert PieceReader().read(file, 20, 50) == bytes(range(20, 70))


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else len(os.listdir("/dev/fd"))


def test_no_more_files_are_open_than_the_limit_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "open_limit", lambda: 3)
    files = [tmp_path / str(number) for number in range(10)]
    for number, path in enumerate(files):
        path.write_bytes(bytes([number]))
    gc.collect()
    before = open_descriptors()
    reader = PieceReader()
    assert [reader.read(path, 0, 1) for path in files * 2] == [bytes([number]) for number in range(10)] * 2
    assert open_descriptors() == before + 3
    del reader
    gc.collect()
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("allowed", "kept"), [(1024, 256), (256, 64), (2, 1), (10**6, 1024), (resource.RLIM_INFINITY, 1024)]
)
def test_a_quarter_of_the_files_allowed_is_for_shards(allowed: int, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (allowed, allowed))
    assert open_limit() == kept


def test_threads_share_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor that another thread puts out of the cache is not closed, and its number not given away, in use."""
    monkeypatch.setattr(reading, "open_limit", lambda: 1)
    files = [tmp_path / str(number) for number in range(4)]
    for number, path in enumerate(files):
        path.write_bytes(bytes([number]) * 1000)
    reader, wrong = PieceReader(), list[int]()

    def read(number: int) -> None:
        for _ in range(500):
            if reader.read(files[number], 0, 1000) != bytes([number]) * 1000:
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_retries_are_for_any_action() -> None:
    """A result comes through, and so does an error that is not the file system's."""
    assert with_retries(lambda: 5, "here") == 5
    with pytest.raises(ValueError, match="no number"):
        with_retries(lambda: int("no number"), "here")


def failing_twice(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, ends: str) -> list[str]:
    """Let a function fail its first two times for what is named so; returns what it was asked for. Nothing waits."""
    asked: list[str] = []
    works: Callable[..., Any] = getattr(owner, name)

    def fail(*arguments: Any, **options: Any) -> Any:
        if str(arguments[0]).endswith(ends):
            asked.append(str(arguments[0]))
            if len(asked) <= 2:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return works(*arguments, **options)

    monkeypatch.setattr(reading, "DELAYS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(owner, name, fail)
    return asked


@pytest.mark.parametrize(
    ("owner", "name", "ends"),
    [(Path, "stat", "00001.tar"), (Path, "read_text", MANIFEST), (np, "load", "members.npy")],
    ids=["sizes of shards", "manifest", "arrays"],
)
def test_an_index_is_opened_through_passing_errors(
    owner: Any, name: str, ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        write_shard(tmp_path / f"{number:05d}.tar", range(3))
    built = build_index(tmp_path)
    asked = failing_twice(monkeypatch, owner, name, ends)
    assert open_index(tmp_path).manifest == built.manifest
    assert len(asked) > 2


def test_a_source_is_opened_through_passing_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "a.parquet", pictures(range(40)))
    asked = failing_twice(monkeypatch, mixture, "open_source", "")
    data = DataRecipe(source=str(tmp_path), validation_share=0.2)
    assert len(mixture.open_mixture("train", data, 16)) == len(open_source(str(tmp_path), "train", data, 16))
    assert asked == [str(tmp_path)] * 3


def test_a_row_of_a_table_is_read_again_after_a_passing_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(write_parquet(tmp_path / "a.parquet", pictures(range(2))), validation_share=0.0)
    asked = failing_twice(monkeypatch, TableRows, "__getitem__", "")
    assert source[1].captions == ("caption 1",)
    assert len(asked) == 3


def test_what_does_not_pass_is_not_tried_again_by_others() -> None:
    """Reading a row tries again, and so does the reader of its shard: not one within the other."""
    tries = list[int]()

    def fail() -> None:
        tries.append(1)
        raise OSError(errno.EIO, "in passing")

    with pytest.raises(OSError, match="8 times over: inner") as raised:
        with_retries(lambda: with_retries(fail, "inner", lambda _: None), "outer", lambda _: None)
    assert len(tries) == len(DELAYS) + 1 and raised.value.errno == errno.EIO


def test_errors_say_which_file_and_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: .*gone, for source x"):
        with_retries((tmp_path / "gone").read_bytes, "source x")

    def refuse() -> None:
        raise FileNotFoundError("data.source 'x': no such file")

    with pytest.raises(FileNotFoundError) as raised:
        with_retries(refuse, "source x")
    assert str(raised.value) == "data.source 'x': no such file"
