"""The probing command under a launcher: two ranks, the result of one, written once; both end where one does."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aimv2_lab.report.probe_results import FIGURE, SCORES
from tests.data.generated import picture, write_image_folder
from tests.ranks import Ended, by_srun, ended, free_port, run, started, torchrun
from tests.training.finetune_toy import checkpoint

QUICK = ("--epochs", "3", "--batch-size", "15", "--learning-rates", "1e-3", "1e-2", "--seeds", "0", "1")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("encoder") / "model")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty-one for training and thirty-three for validation, of two species."""
    folder = tmp_path_factory.mktemp("pictures")
    for split, number in (("train", 61), ("val", 33)):
        labels = [("owl", "cat")[int(np.asarray(picture(n))[0, 0, 0] > 128)] for n in range(number)]
        lines = [{"file_name": f"{n}.png", "label": label} for n, label in enumerate(labels)]
        write_image_folder(folder / split, lines)
    return folder


def options(encoder: Path, pictures: Path, out: Path, *more: str) -> list[str]:
    """What follows the module's name: Table A2's own recipe."""
    named = ["--encoder", str(encoder), "--data", str(pictures), "--probe", "paper", "--out", str(out)]
    return [*named, "--features", str(out / "features"), *QUICK, *more]


def written(out: Path) -> dict[str, Any]:
    """The file of scores."""
    found: dict[str, Any] = json.loads((out / SCORES).read_text())
    return found


def two(module: list[str]) -> tuple[Ended, Ended, float]:
    """How two ranks ended that were started one by one, and the seconds between their ends."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(started(line, extra)) for line, extra in by_srun(module, free_port()))
        other = ended(second)
        at = time.monotonic()
        return ended(first), other, time.monotonic() - at


def test_two_ranks_write_what_one_process_does_once(encoder: Path, pictures: Path, tmp_path: Path) -> None:
    alone = run([sys.executable, "-m", "aimv2_lab.launch.probe", *options(encoder, pictures, tmp_path / "alone")])
    both = run(torchrun("aimv2_lab.launch.probe", *options(encoder, pictures, tmp_path / "both")))
    assert (alone.status, both.status) == (0, 0), both.err
    found, expected = written(tmp_path / "both"), written(tmp_path / "alone")
    assert (found["ranks"], expected["ranks"]) == (2, 1)
    assert found["scores"] == expected["scores"] and found["groups"] == expected["groups"]
    assert len({score for seed in found["scores"]["tasks"][0]["grid"] for score in seed}) > 1  # something to choose
    assert both.out.splitlines()[:-1] == alone.out.splitlines()[:-1] and str(tmp_path / "both") in both.out
    files = [path.relative_to(tmp_path / "both") for path in (tmp_path / "both").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files if len(path.parts) == 1) == [SCORES, FIGURE]
    again = run(torchrun("aimv2_lab.launch.probe", *options(encoder, pictures, tmp_path / "both")))
    message = f"FileExistsError: {tmp_path / 'both' / SCORES} holds a result already: name another --out"
    assert again.status != 0 and again.err.count(message) == 1
    assert written(tmp_path / "both") == found


def test_a_rank_that_is_killed_ends_the_other(encoder: Path, pictures: Path, tmp_path: Path) -> None:
    first, second, seconds = two(["tests.launch.failing_probe", "killed", *options(encoder, pictures, tmp_path)])
    assert (second.status, first.status) == (-signal.SIGKILL, 1) and seconds < 30
    assert re.search(r"^rank 0 (lost the others, one may have died|ends: it lost rank 1)", first.err, re.MULTILINE)
    assert not (tmp_path / SCORES).exists()


def test_a_rank_that_fails_alone_ends_the_other(encoder: Path, pictures: Path, tmp_path: Path) -> None:
    first, second, seconds = two(["tests.launch.failing_probe", "fails", *options(encoder, pictures, tmp_path)])
    assert (second.status, first.status) == (1, 1) and seconds < 30
    assert "FloatingPointError: the second rank alone fails" in second.err
    assert "rank 0" in first.err and "--resume" not in first.err
    assert not (tmp_path / SCORES).exists()


def test_ranks_with_different_options_are_refused(encoder: Path, pictures: Path, tmp_path: Path) -> None:
    """As where two nodes were given two commands."""
    lines = by_srun(["aimv2_lab.launch.probe", *options(encoder, pictures, tmp_path)], free_port())
    with ExitStack() as stack:
        ranks = [
            stack.enter_context(started([*line, "--seeds", str(rank)], extra))
            for rank, (line, extra) in enumerate(lines)
        ]
        first, second = map(ended, ranks)
    assert (first.status, second.status) == (1, 1)
    assert first.err == "the ranks disagree on --seeds: (0,) on rank 0; (1,) on rank 1. Give every node the same\n"


def test_one_device_for_several_ranks_is_refused(encoder: Path, pictures: Path, tmp_path: Path) -> None:
    done = run(torchrun("aimv2_lab.launch.probe", *options(encoder, pictures, tmp_path, "--device", "cpu")))
    assert done.status != 0
    assert done.err.count("ValueError: --device cpu for 2 ranks: each takes its own GPU where there is one") == 1
