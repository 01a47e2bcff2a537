import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.tars.archive import walk_tar
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
