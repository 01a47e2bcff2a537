"""The command writes what it is asked for and says so; bad input ends plainly."""

import sys
from pathlib import Path

import pytest

from aimv2_lab.data.sources import open_source
from aimv2_lab.launch.world import main
from aimv2_lab.recipes import DataRecipe

SMALL = ["--world", "easy", "--pairs", "30", "--shard-size", "20", "--size", "16"]


def write(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["world", *SMALL, *arguments])
    main()


def test_the_command_writes_pairs_and_names_the_list_of_planted_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = str(tmp_path / "pairs")
    write(monkeypatch, "--folder", where, "--layout", "parquet", "--damage.zero-bytes", "1", "--damage.shards", "1")
    said = capsys.readouterr().out
    assert "30 pairs of world:easy in 2 shards" in said and f"10 damaged on purpose: {where}/planted.jsonl" in said
    source = open_source(where, "train", DataRecipe(validation_share=0.0), 16)
    assert [source[index].image == b"" for index in range(30)] == [False] * 20 + [True] * 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--damage.truncated-shards", "7"], "in shard 7; there are 2"),
        (["--world", "ritch"], "rich"),
        (["--seed", "-1"], "seed -1"),
    ],
)
def test_bad_input_ends_without_a_traceback(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        write(monkeypatch, "--folder", str(tmp_path / "pairs"), *arguments)
    assert message in f"{ended.value} {capsys.readouterr().err}"
    assert not (tmp_path / "pairs").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(SystemExit, match=r"FileExistsError: .* not empty"):
        write(monkeypatch, "--folder", str(tmp_path))
