from pathlib import Path

import numpy as np
import pytest

from aimv2_lab.data.uids import UID, listed, open_uid_list, parse_uids, uid_sum
from tests.data.metadata_tables import uid, write_uid_list

NEAR = ["0" * 32, "0" * 31 + "1", "0" * 15 + "1" + "0" * 16, "f" * 16 + "0" * 16, "f" * 32]  # differ in either half


def as_numbers(texts: list[str]) -> np.ndarray:
    return np.array([(int(text[:16], 16), int(text[16:], 16)) for text in texts], UID)


def test_uids_are_read_as_datacomp_reads_them() -> None:
    texts = [uid(number) for number in range(50)] + NEAR + ["ABCDEF" + "0" * 26]
    assert (parse_uids(texts) == as_numbers(texts)).all()
    assert len(parse_uids([])) == 0


@pytest.mark.parametrize("wrong", ["", "abc", "g" * 32, " " + "0" * 31, "0" * 33, "0 " * 16, None])
def test_a_malformed_uid_is_named(wrong: str | None) -> None:
    with pytest.raises(ValueError, match=f"{wrong!r} is no uid"):
        parse_uids([uid(0), wrong, uid(1)])


@pytest.mark.parametrize("suffix", [".npy", ".txt"])
def test_a_list_on_disk_tells_which_uids_it_holds(suffix: str, tmp_path: Path) -> None:
    held = [uid(number) for number in range(0, 400, 2)] + NEAR[1:4]
    path = tmp_path / f"list{suffix}"
    if suffix == ".npy":
        write_uid_list(path, held)
    else:
        path.write_text("\n".join(["", *held, ""]))
    asked = [uid(number) for number in range(400)] + NEAR
    found = listed(parse_uids(asked), open_uid_list(path))
    assert found.tolist() == [text in held for text in asked]


def test_a_npy_list_is_mapped_not_read(tmp_path: Path) -> None:
    assert isinstance(open_uid_list(write_uid_list(tmp_path / "list.npy", NEAR)), np.memmap)


@pytest.mark.parametrize("block", [3, 4, 100])
@pytest.mark.parametrize("swap", range(8))
def test_an_unsorted_list_is_refused_with_the_place(
    swap: int, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aimv2_lab.data.uids._BLOCK", block)
    uids = np.sort(as_numbers([uid(number) for number in range(9)]))
    np.save(tmp_path / "sorted.npy", uids)
    assert len(open_uid_list(tmp_path / "sorted.npy")) == 9
    uids[[swap, swap + 1]] = uids[[swap + 1, swap]]
    np.save(tmp_path / "list.npy", uids)
    with pytest.raises(ValueError, match=rf"list\.npy is not sorted: entry {swap + 1} "):
        open_uid_list(tmp_path / "list.npy")


def test_the_lower_half_counts_in_the_order(tmp_path: Path) -> None:
    np.save(tmp_path / "list.npy", as_numbers(NEAR)[[1, 0]])
    with pytest.raises(ValueError, match="entry 1"):
        open_uid_list(tmp_path / "list.npy")


def test_other_arrays_and_broken_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "plain.npy", np.zeros((4, 2), np.uint64))
    with pytest.raises(ValueError, match=r'uint64 \(4, 2\).*"u8,u8"'):
        open_uid_list(tmp_path / "plain.npy")
    path = write_uid_list(tmp_path / "cut.npy", NEAR)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"cut\.npy is no whole \.npy file"):
        open_uid_list(path)
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(ValueError, match="lists no uids"):
        open_uid_list(tmp_path / "none.txt")
    (tmp_path / "bad.txt").write_text(f"{uid(0)}\n\nhttp://x\n")
    with pytest.raises(ValueError, match=r"bad\.txt line 3: 'http://x' is no uid"):
        open_uid_list(tmp_path / "bad.txt")


def test_the_sum_stands_for_the_uids_in_any_order_and_cut() -> None:
    uids = [uid(number) for number in range(20)]
    whole = uid_sum(uids)
    assert whole == uid_sum(reversed(uids)) == (uid_sum(uids[:7]) + uid_sum(uids[7:])) % 2**256
    assert len({whole, uid_sum(uids[1:]), uid_sum([*uids, uids[0]]), uid_sum([*uids[1:], uid(99)]), uid_sum([])}) == 5
