"""The command that indexes shards: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aimv2_lab.data.sources import open_source
from aimv2_lab.data.tars.indexing import build_index, open_index
from aimv2_lab.launch.index import main, summary
from aimv2_lab.recipes import DataRecipe
from tests.data.generated import sample, write_shard, write_tar
from tests.data.tars.indexes import shards

ROOT = Path(__file__).resolve().parents[2]


def launch(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aimv2_lab.launch.index", *arguments]
    path = {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | path)


def test_the_command_makes_the_index_that_training_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named from where one stands, by as many processes as asked for."""
    shards(tmp_path / "data", 4)
    size = sum(path.stat().st_size for path in (tmp_path / "data").glob("*.tar"))
    done = launch("data", "--workers", "2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"4 shards, 16 samples, {size:,} bytes",
        f"index in {tmp_path / 'data' / '.aimv2_lab_index'}",
    ]
    assert "4/4" in done.stderr
    monkeypatch.setattr("aimv2_lab.data.tars.indexing.SMALL", 0)  # so that training cannot make it itself
    assert len(open_source(str(tmp_path / "data"), "train", DataRecipe(validation_share=0.0), 16)) == 16
    again = launch("data", folder=tmp_path)
    assert again.stdout == done.stdout and not again.stderr


def test_damaged_shards_are_all_named_and_the_command_fails(tmp_path: Path) -> None:
    shards(tmp_path, 5)
    for number in (1, 3):
        os.truncate(tmp_path / f"{number:05d}.tar", 5000)
    done = launch(str(tmp_path))
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "2 of 5 shards are damaged" in done.stderr
    named = [line for line in done.stderr.splitlines() if "is truncated or damaged at byte" in line]
    assert ["00001.tar" in named[0], "00003.tar" in named[1]] == [True, True] and len(named) == 2


def test_columns_stay_until_others_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tar(tmp_path / "a.tar", {"0": sample(0) | {"json": b'{"width": 5, "height": 6}'}})
    both = ("width", "height")
    steps: list[tuple[list[str], tuple[str, ...]]] = [(["--columns", "width, height"], both), ([], both)]
    steps += [(["--columns", "height"], ("height",)), (["--columns", ""], ())]
    for named, kept in steps:
        monkeypatch.setattr(sys, "argv", ["index", str(tmp_path), *named])
        main()
        assert open_index(tmp_path).manifest.columns == kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "FileNotFoundError: nowhere: no such folder or file"),
        (["empty"], "no WebDataset shards"),
        (["data", "--workers", "0"], "workers = 0"),
        (["data", "--columns", "width,nothing"], "no sample of .* has a number under nothing"),
    ],
)
def test_bad_commands_say_what_to_do(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    write_tar(tmp_path / "data" / "a.tar", {"0": sample(0) | {"json": b'{"width": 5}'}})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["index", *arguments])
    with pytest.raises(SystemExit, match=message):
        main()


def test_the_summary_tells_what_is_damaged_and_what_is_known(tmp_path: Path) -> None:
    good = sample(0)
    samples = {f"{n:04d}": good | {"png": b""} for n in range(1200)} | {"x": good | {"txt": b"", "png": b"wrong"}}
    samples["y"] = good | {"json": json.dumps({"width": 64}).encode()}
    samples[".hidden"] = {"txt": b"x"}
    write_tar(tmp_path / "a.tar", samples)
    write_shard(tmp_path / "b.tar", range(2))
    lines = summary(build_index(tmp_path, ["width"]))
    assert lines[0].startswith("2 shards, 1,204 samples, ")
    assert lines[1:-1] == [
        "column width: known for 1 samples",
        "1 members belong to no sample (hidden, or without an extension)",
        "damaged, zero bytes: 1,201 (first: a/0000.png, a/0001.png, a/0002.png, a/0003.png, a/0004.png)",
        "damaged, undecodable: 1 (first: a/x.png)",
    ]
    assert "headers of pictures were not looked at" in summary(build_index(tmp_path / "b.tar", check=False))
