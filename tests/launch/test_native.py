"""Native runs: from a folder of pictures of many sizes to a run folder, resumed exactly, on one rank or several."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from aimv2_lab import load_encoder
from aimv2_lab.data.native.areas import Areas
from aimv2_lab.formats.folder import read_recipe
from aimv2_lab.launch.command import read_command
from aimv2_lab.launch.plan import plan, read_plan
from aimv2_lab.launch.pretrain import run_pretraining
from aimv2_lab.recipes import Recipe
from aimv2_lab.training.run.folder import read_metrics
from tests.data.generated import encoded, picture
from tests.ranks import made_once, run, torchrun

SETTINGS = (
    *("--recipe", "tiny-native", "--encoder.width", "32", "--encoder.depth", "1", "--encoder.hidden", "64"),
    *(
        "--decoder.width",
        "32",
        "--decoder.depth",
        "1",
        "--decoder.hidden",
        "64",
        "--decoder.vocabulary",
        "300",
        "--training.warmup-steps",
        "2",
    ),
    *("--training.batch-size", "16", "--training.micro-batch-size", "4", "--training.log-every", "1"),
    *(
        "--training.validate-every",
        "6",
        "--training.validation-batches",
        "1",
        "--data.validation-share",
        "0.25",
        "--training.checkpoint-every",
        "3",
    ),
    *("--data.tokenizer", "captions", "--data.flip-probability", "0.5", "--data.crop-scale", "0.5", "1.0"),
    *("--training.seed", "5", "--training.precision", "float32"),
)


def write_pictures(folder: Path) -> None:
    """Pictures of every ratio from 1 : 3 to 3 : 1, with captions."""
    lines = [{"file_name": f"{n}.png", "text": f"picture number {n} of {n % 7} kinds"} for n in range(120)]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for number in range(120):
        made = picture(number, 16 + 7 * (number * 5 % 8), 16 + 7 * (number * 3 % 8))
        (folder / f"{number}.png").write_bytes(encoded(made))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "pictures_of_many_sizes", write_pictures)


def command(pictures: Path, folder: Path, steps: int, *more: str) -> list[str]:
    where = ("--data", str(pictures), "--run", str(folder), "--training.steps", str(steps))
    return ["aimv2_lab.launch.pretrain", *SETTINGS, *where, *more]


def measured(folder: Path) -> list[list[float]]:
    names = ("step", "total", "pixel", "text", "gradient_norm")
    return [[row[name] for name in names if name in row] for row in read_metrics(folder)]


def are_close(found: Path, expected: Path) -> bool:
    """Whether all records are equal but for rounding."""
    rows = zip(measured(found), measured(expected), strict=True)
    return all(one == pytest.approx(other, rel=1e-5) for one, other in rows)


def test_two_ranks_are_one_and_a_run_goes_on_with_another_number_of_them(pictures: Path, tmp_path: Path) -> None:
    """Six steps of one process; three of two ranks, which one process then finishes, with other workers."""

    def alone(folder: Path, *more: str) -> None:
        run_pretraining(read_command(command(pictures, folder, 6, *more)[1:], "pretrain"))

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    alone(whole)
    alone(tmp_path / "packed", "--resolution.batching", "packed")
    done = run(torchrun(*command(pictures, broken, 6)))
    assert done.status == 0, done.err
    assert are_close(tmp_path / "packed", whole) and are_close(broken, whole)
    states = {step: json.loads((broken / f"checkpoints/step-{step:08d}/state.json").read_text()) for step in (3, 6)}
    known = read_recipe(broken / "recipe.json")
    assert isinstance(known, Recipe)
    assert {step: state["consumed_samples"] for step, state in states.items()} == {
        step: Areas(known).first(step) for step in (3, 6)
    }
    assert states[3]["consumed_samples"] not in (0, 3 * 16)
    (broken / "checkpoints/step-00000006").rename(tmp_path / "later")
    alone(broken, "--resume", "--data.workers", "2")
    assert are_close(broken, whole)
    rates = read_metrics(whole, "train")[-1]
    assert 4 * rates["images_per_second"] <= rates["tokens_per_second"] <= 100 * rates["images_per_second"]
    assert load_encoder(whole)(torch.zeros(1, 3, 24, 60)).shape == (1, 10, 32)


@pytest.mark.parametrize("how", [("--resolution.batching", "packed"), ("--resolution.padding", "seen")])
def test_packed_rows_and_seen_padding_are_the_same_on_two_ranks(
    how: tuple[str, str], pictures: Path, tmp_path: Path
) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    run_pretraining(read_command(command(pictures, alone, 2, *how)[1:], "pretrain"))
    done = run(torchrun(*command(pictures, together, 2, *how)))
    assert done.status == 0, done.err
    assert are_close(together, alone) and measured(alone)


def test_plans_are_refused_with_what_can_be_planned() -> None:
    words = ["--recipe", "aimv2-large-native", "--gpus", "64"]
    with pytest.raises(ValueError, match=r"--resolution.batching fixed"):
        plan(read_plan(words))
    assert "memory of a rank" in plan(read_plan([*words, "--resolution.batching", "fixed"]))
