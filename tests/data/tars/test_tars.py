import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest

from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.tars.archive import tar_files, unpack, walk_tar, without_suffix
from tests.data.generated import encoded, picture, sample, write_shard, write_tar
from tests.data.layouts import keys, numbers, opened, pictures, write_parquet


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
    write_tar(tmp_path / "00000.tar", {"0": sample(0), "1": sample(1), "2": {"WEBP": lossless, "txt": b"caption 2"}})
    assert numbers(opened(tmp_path, validation_share=0.0)) == [0, 1, 2]


def test_shards_of_one_name_in_two_folders_have_keys_of_their_own(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_shard(tmp_path / folder / "00000.tar", range(3))
    assert len({*keys(opened(tmp_path, validation_share=0.0))}) == 6


def by_pyarrow(codec: str) -> Callable[[bytes], bytes]:
    """Compress as a program for files does: a stream with an end."""

    def compress(content: bytes) -> bytes:
        sink = pyarrow.BufferOutputStream()
        with pyarrow.CompressedOutputStream(sink, codec) as stream:
            stream.write(content)
        return sink.getvalue().to_pybytes()

    return compress


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tar.xz": lzma.compress,
    ".tar.bz2": bz2.compress,
    ".tar.zst": by_pyarrow("zstd"),
    ".tar.lz4": by_pyarrow("lz4"),
}


@pytest.mark.parametrize(
    ("name", "like"),
    [
        *[("a.tar.bz2", ".tar.bz2"), ("a.tbz2", ".tar.bz2"), ("a.TBZ", ".tar.bz2")],
        *[("a.tar.zst", ".tar.zst"), ("a.tzst", ".tar.zst"), ("a.tar.lz4", ".tar.lz4"), ("a.tlz4", ".tar.lz4")],
        *[("A.TGZ", ".tar.gz"), ("A.TAR", ".tar")],
    ],
)
def test_shards_of_every_compression_give_the_same_pairs(name: str, like: str, tmp_path: Path) -> None:
    content = write_shard(tmp_path / "plain" / "a.tar", range(5)).read_bytes()
    middle = len(content) // 1024 * 512
    packed = [COMPRESSIONS[like](part) for part in (content[:middle], content[middle:])]
    shard = tmp_path / "data" / name
    shard.parent.mkdir()
    shard.write_bytes(b"".join(packed))  # in two streams, as parallel compressors write
    source = opened(shard.parent, validation_share=0.0)
    assert numbers(source) == [*range(5)]
    assert keys(source)[0] == f"{name[0]}/00000000"


@pytest.mark.parametrize("suffix", COMPRESSIONS)
@pytest.mark.parametrize("where", ["a member", "its header", "between members", "first block"])
def test_a_tar_cut_anywhere_is_an_error(suffix: str, where: str, tmp_path: Path) -> None:
    """Cut first and then compressed: the compression is whole, so that only the tar itself can tell."""
    content = write_shard(tmp_path / "whole.tar", range(5)).read_bytes()
    starts = [offset for offset in range(0, len(content), 512) if content[offset + 257 : offset + 262] == b"ustar"]
    cut = {
        "a member": starts[7] + 512 + 5,
        "its header": starts[7] + 100,
        "between members": starts[7],
        "first block": 90,
    }
    shard = tmp_path / "data" / f"00003{suffix}"
    shard.parent.mkdir()
    shard.write_bytes(COMPRESSIONS[suffix](content[: cut[where]]))
    with pytest.raises(DamagedArchive, match=r"00003.* is truncated or damaged at byte \d+"):
        opened(shard.parent)


@pytest.mark.parametrize("suffix", [suffix for suffix in COMPRESSIONS if suffix != ".tar"])
@pytest.mark.parametrize("kept", [0.2, 0.7, 0.999])
def test_a_compressed_tar_cut_anywhere_is_an_error(suffix: str, kept: float, tmp_path: Path) -> None:
    packed = COMPRESSIONS[suffix](write_shard(tmp_path / "whole.tar", range(30)).read_bytes())
    (tmp_path / "whole.tar").unlink()
    (tmp_path / f"00000{suffix}").write_bytes(packed[: int(len(packed) * kept)])
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


@pytest.mark.parametrize("suffix", [".tar.lz", ".tar.lzma", ".tar.lzo", ".tar.br", ".TAR.Z", ".taz", ".tar.zip"])
def test_tars_of_compressions_that_are_not_read_are_refused(suffix: str, tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.tar", range(2))
    (tmp_path / f"00001{suffix}").touch()
    with pytest.raises(ValueError, match=rf"00001\{suffix} has a compression that is not read .*\.tar\.zst"):
        opened(tmp_path)
    with pytest.raises(ValueError, match="has a compression that is not read"):
        opened(tmp_path / f"00001{suffix}")


def test_what_other_tools_leave_beside_shards_is_no_matter(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "00000.tar", range(2))
    for name in ("00000_stats.json", "00000.parquet", "00000.tar.md5", "00000.tar.idx", ".00001.tar.part"):
        (tmp_path / name).touch()
    assert tar_files(tmp_path) == [shard]


@pytest.mark.parametrize("twin", ["a.tar.gz", "a.TAR.XZ", "a.tgz"])
@pytest.mark.parametrize("first", ["a.tar", "a.TAR"])
def test_a_shard_beside_its_compressed_copy_is_refused_in_whatever_case(twin: str, first: str, tmp_path: Path) -> None:
    (tmp_path / first).touch()
    (tmp_path / twin).touch()
    with pytest.raises(ValueError, match="would give pairs of the same keys"):
        tar_files(tmp_path)
    assert without_suffix(f"b/{twin}") == "b/a" == without_suffix(f"b/{first}")


def test_one_shard_under_two_names_is_refused(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "store" / "a.tar", range(2))
    (tmp_path / "data").mkdir()
    for name in ("b.tar", "c.tar"):
        os.symlink(shard, tmp_path / "data" / name)
    with pytest.raises(ValueError, match=r"b\.tar and .*c\.tar are one file"):
        tar_files(tmp_path / "data")
    (tmp_path / "data" / "c.tar").unlink()
    assert numbers(opened(tmp_path / "data", validation_share=0.0)) == [0, 1]


def test_unpacking_names_the_file_system_s_own_errors(tmp_path: Path) -> None:
    for suffix in (".gz", ".zst"):
        with pytest.raises(FileNotFoundError):
            unpack(tmp_path / f"a.tar{suffix}", tmp_path / "a")
