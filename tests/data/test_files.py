"""What a folder shows: links are followed, and nothing is passed over in silence."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aimv2_lab.data.files import UNFINISHED, visible_files
from aimv2_lab.data.parquet import parquet_files
from tests.data.generated import write_image_folder, write_shard
from tests.data.layouts import numbers, opened, pictures, write_parquet


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in visible_files(folder)]


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_files_come_in_the_order_of_their_paths_without_hidden_ones(tmp_path: Path) -> None:
    """A folder's name goes before what begins with it, as Path compares."""
    shown = ["a/2", "a/b/1", "a.txt", "b/.x/no", ".hidden/no", ".no", "b/z", "a-1/3"]
    touch(*(tmp_path / name for name in shown))
    assert names(tmp_path) == ["a/2", "a/b/1", "a-1/3", "a.txt", "b/z"]
    assert visible_files(tmp_path / ".no") == [tmp_path / ".no"]


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "store" / "deep" / "1", tmp_path / ".objects" / "blob")
    data = tmp_path / "data"
    touch(data / "0", data / ".kept" / "3")
    (data / "linked").symlink_to(tmp_path / "store")
    (data / "one").symlink_to(tmp_path / ".objects" / "blob")
    (data / "shown").symlink_to(".kept")
    (tmp_path / "store" / ".up").symlink_to(tmp_path)  # hidden, so that it is no loop
    assert names(data) == ["0", "linked/deep/1", "one", "shown/3"]


@pytest.mark.parametrize(
    ("link", "target", "met"),
    [
        ("loop", ".", "data"),
        ("a/loop", "..", "data"),
        ("up", "../..", "data"),
        ("z", "a", "data/a"),
        ("a/z", "../b", "data/a/z"),
        ("outside/back", "../data/b", "data/b"),
    ],
)
def test_a_link_to_a_folder_that_is_walked_already_is_refused(link: str, target: str, met: str, tmp_path: Path) -> None:
    """It would give all pairs twice, or never end."""
    touch(tmp_path / "data/a/1", tmp_path / "data/b/1", tmp_path / "outside/1")
    (tmp_path / "data" / "c").symlink_to("../outside")
    place = tmp_path / link if link.startswith("outside") else tmp_path / "data" / link
    place.symlink_to(target)
    with pytest.raises(ValueError, match=rf"leads to .*, whose files are read by .*/{met} already"):
        visible_files(tmp_path / "data")


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "a", tmp_path / ".hidden" / "b")
    (tmp_path / ".hidden" / "link").symlink_to("nowhere")
    assert names(tmp_path) == ["a"]
    (tmp_path / "b").symlink_to("../unmounted/b")
    with pytest.raises(FileNotFoundError, match=r"/b is a link to \.\./unmounted/b, where nothing is"):
        visible_files(tmp_path)
    (tmp_path / "b").unlink()
    (tmp_path / "b").symlink_to("b")
    with pytest.raises(FileNotFoundError, match=r"/b is a link to b, where nothing is"):
        visible_files(tmp_path)


@pytest.mark.parametrize("ending", [*UNFINISHED, ".TMP"])
def test_an_unfinished_download_is_refused(ending: str, tmp_path: Path) -> None:
    touch(tmp_path / "a", tmp_path / "deep" / f"00003.tar{ending}", tmp_path / f".b{ending}")
    with pytest.raises(ValueError, match=rf"00003\.tar{ending} is a download that was not finished \(1 such"):
        visible_files(tmp_path)


def folder_of_shards(folder: Path) -> None:
    write_shard(folder / "a.tar", range(4))


def folder_of_tables(folder: Path) -> None:
    write_parquet(folder / "a.parquet", pictures(range(4)))


def folder_of_pictures(folder: Path) -> None:
    write_image_folder(folder, [{"file_name": f"{n}.png", "text": f"caption {n}"} for n in range(4)])


@pytest.mark.parametrize("write", [folder_of_shards, folder_of_tables, folder_of_pictures])
def test_every_layout_is_read_through_links(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "store")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "part").symlink_to(tmp_path / "store")
    assert numbers(opened(tmp_path / "data", validation_share=0.0)) == [0, 1, 2, 3]
    (tmp_path / "data" / "gone").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match="gone is a link to nowhere"):
        opened(tmp_path / "data")
    if write is folder_of_tables:
        with pytest.raises(FileNotFoundError, match="gone is a link to nowhere"):
            parquet_files(tmp_path / "data")
