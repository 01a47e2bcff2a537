"""The pre-training command: real files in, a run folder out, exact resume after SIGKILL, plain errors."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from aimv2_lab import load_encoder
from aimv2_lab.data.mixture import open_mixture
from aimv2_lab.data.tars.indexing import build_index
from aimv2_lab.recipes import Recipe, recipe
from aimv2_lab.training.run.folder import read_metrics
from tests.launch.quick import QUICK, SETTINGS, settings

ROOT = Path(__file__).resolve().parents[2]
LAYOUTS = ("webdataset", "parquet", "imagefolder")


def command(data: str, run: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "aimv2_lab.launch.pretrain", "--recipe", "small", "--data", data, "--run", str(run)),
        *SETTINGS,
        *more,
    ]


def launch(data: str, run: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(data, run, *more), cwd=ROOT, capture_output=True, text=True, check=False)


def totals(run: Path) -> list[tuple[int, float]]:
    return [(row["step"], row["total"]) for row in read_metrics(run, "train")]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_trains_on_every_layout_of_the_samples(layout: str, tmp_path: Path) -> None:
    done = launch(f"data_samples/{layout}", tmp_path / "run", "--training.steps", "6")
    assert done.returncode == 0, done.stderr
    assert "validation pixel loss" in done.stdout
    run = tmp_path / "run"
    assert [step for step, _ in totals(run)] == [1, 2, 3, 4, 5, 6]
    assert {path.name for path in run.iterdir()} == {
        *("recipe.json", "environment.json", "data.json", "tokenizer"),
        *("metrics.jsonl", "tensorboard", "checkpoints", "run.lock"),
    }
    assert Recipe.from_json((run / "recipe.json").read_text()).training.steps == 6
    features = load_encoder(run)(torch.zeros(1, 3, 32, 32))
    assert features.shape == (1, 16, 32)


def test_a_killed_run_resumes_bit_equal(tmp_path: Path) -> None:
    """SIGKILL at an arbitrary moment; the resumed losses, and the final weights, are those of an unbroken run."""
    more = ("--training.steps", "40")
    assert launch("data_samples/webdataset", tmp_path / "whole", *more).returncode == 0
    broken = tmp_path / "broken"
    process = subprocess.Popen(command("data_samples/webdataset", broken, *more), cwd=ROOT, stderr=subprocess.DEVNULL)
    while len(totals(broken)) < 13:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(totals(broken)) < 40
    done = launch("data_samples/webdataset", broken, *more, "--resume")
    assert done.returncode == 0, done.stderr
    assert totals(broken) == totals(tmp_path / "whole")
    weights = [run / "checkpoints" / "step-00000040" / "model.safetensors" for run in (broken, tmp_path / "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_aim_v1_trains_on_pictures_alone_and_resumes_bit_equal(tmp_path: Path) -> None:
    """Without a tokenizer; going on from step 5 gives what was trained without a break."""
    encoder = {name: value for name, value in QUICK["encoder"].items() if name != "hidden"}
    silent = settings({"encoder": encoder, "head": {"width": 32, "depth": 2}, "training": QUICK["training"]})
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    def train(run: Path, *more: str) -> str:
        start = [sys.executable, "-m", "aimv2_lab.launch.pretrain", "--recipe", "aim-tiny", "--run", str(run), *silent]
        options = ["--data", "data_samples/imagefolder", "--training.steps", "10", *more]
        done = subprocess.run([*start, *options], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "caption" not in train(whole)
    assert not (whole / "tokenizer").exists()
    shutil.copytree(whole, broken, ignore=shutil.ignore_patterns("step-00000010"))
    train(broken, "--resume")
    assert totals(broken) == totals(whole)
    weights = [run / "checkpoints" / "step-00000010" / "model.safetensors" for run in (broken, whole)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert load_encoder(broken)(torch.zeros(1, 3, 32, 32)).shape == (1, 16, 32)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "finished"
    assert launch("data_samples/webdataset", run, "--training.steps", "5").returncode == 0
    return run


def test_a_run_is_never_overwritten(finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    done = launch("data_samples/webdataset", finished, "--training.steps", "5")
    assert done.returncode != 0
    assert "holds a run already; go on with --resume" in done.stderr
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_another_recipe_is_refused_with_the_difference(finished: Path) -> None:
    done = launch("data_samples/webdataset", finished, "--training.steps", "9", "--resume")
    assert "another recipe: training.steps was 5, is 9" in done.stderr


def test_other_data_is_refused(finished: Path) -> None:
    done = launch("data_samples/parquet", finished, "--training.steps", "5", "--resume")
    assert "was started on other data: train.sources.1.fingerprint was" in done.stderr


def test_a_checkpoint_that_is_not_of_this_run_is_refused(finished: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(finished, copied)
    state = copied / "checkpoints" / "step-00000005" / "state.json"
    stored = json.loads(state.read_text())
    assert stored["consumed_samples"] == 40
    state.write_text(json.dumps(stored | {"consumed_samples": 48}))
    done = launch("data_samples/webdataset", copied, "--training.steps", "5", "--resume")
    assert "step-00000005 was made after 48 samples, but its steps are 40" in done.stderr


def test_a_run_without_checkpoints_goes_on_with_its_own_data_only(finished: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    shutil.copytree(finished, started, ignore=shutil.ignore_patterns("checkpoints"))
    done = launch("data_samples/imagefolder", started, "--training.steps", "5", "--resume")
    assert "was started on other data" in done.stderr
    done = launch("data_samples/webdataset", started, "--training.steps", "5", "--resume")
    assert done.returncode == 0, done.stderr
    assert totals(started) == totals(finished)


def test_a_run_killed_while_it_began_can_be_started_again(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished / "tokenizer", run / "tokenizer")
    (run / "writing-recipe.json").write_text("{")
    assert launch("data_samples/webdataset", run, "--training.steps", "5").returncode == 0
    assert totals(run) == totals(finished)


def test_damaged_pairs_of_both_splits_are_listed(tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    shutil.copytree(ROOT / "data_samples" / "imagefolder", samples)
    for split in ("train", "validation"):
        for picture in sorted((samples / split).rglob("*.jpg"))[:4]:
            picture.write_bytes(b"")
    run = tmp_path / "run"
    more = ("--training.steps", "24", "--training.validation-batches", "8", "--data.damage-limit", "0.5")
    done = launch(str(samples), run, *more)
    assert done.returncode == 0, done.stderr
    for name in ("damage.jsonl", "damage_validation.jsonl"):
        rows = [json.loads(line) for line in (run / name).read_text().splitlines()]
        assert rows
        assert {row["reason"] for row in rows} == {"zero bytes"}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_shard_that_is_not_what_was_indexed_ends_the_run_in_one_line(workers: str, tmp_path: Path) -> None:
    """Whoever reads it: the line names the shard and the place in it."""
    samples = tmp_path / "samples"
    shutil.copytree(ROOT / "data_samples" / "webdataset", samples)
    build_index(samples)
    shard = samples / "train-00000.tar"
    first = open_mixture("train", recipe("tiny", {"data.source": str(samples)}).data, 32).order(0).place(0).row
    assert first > 160  # of 192: what is read before the run begins, this pair and the first hundred, stays
    content = bytearray(shard.read_bytes())
    start, end = len(content) * 55 // 100, len(content) * 80 // 100
    content[start:end] = bytes(end - start)
    shard.write_bytes(content)
    more = ("--data.tokenizer", "world", "--training.steps", "20", "--data.workers", workers)
    done = launch(str(samples), tmp_path / "run", *more)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "Error" in line or "StaleIndex" in line]
    assert line.startswith(f"StaleIndex: {shard} at byte ") and "index again with" in line
    assert "Traceback" not in done.stderr


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = launch("data_samples/webdataset", tmp_path, "--training.steps", "5")
    assert "holds no run but notes.txt" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "tny"], "unknown recipe 'tny'; did you mean tiny"),
        (["--trainin.steps", "3"], "--training.steps"),
        (["--encoder.image-size", "50"], "nearest: 48 and 60"),
        (["--recipe", "small"], "recipe small names no data: add --data"),
        (["--data", "no/such/folder/anywhere"], "no such file or folder"),
    ],
)
def test_bad_commands_say_what_to_do_and_write_nothing(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aimv2_lab.launch.pretrain", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    """A learning rate beyond reason: the run says which step it was, on which pairs, and what to do."""
    more = ("--training.steps", "60", "--training.peak-lr", "1e12", "--training.gradient-clip", "1e30")
    done = launch("data_samples/webdataset", tmp_path / "run", *more)
    assert done.returncode != 0
    assert re.search(r"FloatingPointError: step \d+: .* not finite; the pairs of this step are \w", done.stderr)
    assert "Start again with a lower training.peak_lr" in done.stderr


def test_environment_is_recorded(finished: Path) -> None:
    record = json.loads((finished / "environment.json").read_text())
    assert record["versions"]["torch"] == torch.__version__


def test_a_mixture_trains_and_resumes_with_its_own_weights_only(tmp_path: Path) -> None:
    """In the recipe of the run folder, in data.json and in what is refused, sources are told apart."""
    file, run = tmp_path / "sources.json", tmp_path / "run"

    def write(weight: int) -> None:
        layouts = (("webdataset", 3), ("parquet", weight))
        file.write_text(json.dumps([{"source": f"data_samples/{name}", "weight": share} for name, share in layouts]))

    write(1)
    assert launch(str(file), run, "--training.steps", "5").returncode == 0
    stored = json.loads((run / "data.json").read_text())["train"]
    assert [source["weight"] for source in stored["sources"].values()] == [3, 1]
    assert launch(str(file), run, "--training.steps", "5", "--resume").returncode == 0
    write(2)
    done = launch(str(file), run, "--training.steps", "5", "--resume")
    assert "other data: train.sources.2.weight was 1, is 2; validation.sources.2.weight was 1, is 2" in done.stderr
