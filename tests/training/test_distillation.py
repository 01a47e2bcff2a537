"""Runs of distillation: losses however batches are cut, resume, and the student alone comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aimv2_lab.formats.load import load_encoder
from aimv2_lab.training.loop import build_model, pretrain
from aimv2_lab.training.run.folder import read_metrics
from tests.training.distillation_toy import distilling
from tests.training.finetune_toy import TUNING, checkpoint
from tests.training.toy import random_batch


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(checkpoint(tmp_path_factory.mktemp("teacher") / "model"))


def losses(run: Path, kind: str) -> list[dict[str, float]]:
    names = ("total", "features", "pixel", "text")
    return [{name: row[name] for name in names if name in row} for row in read_metrics(run, kind)]


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_micro_batches_change_no_loss(teacher: str, weight: float, tmp_path: Path) -> None:
    for micro in (2, 8):
        recipe = distilling(teacher, pretraining_weight=weight).change({**TUNING, "training.micro_batch_size": micro})
        pretrain(recipe, tmp_path / str(micro))
    for kind in ("train", "validation"):
        one, other = (losses(tmp_path / micro, kind) for micro in ("2", "8"))
        assert one == [pytest.approx(row, rel=1e-4) for row in other]
        assert one[0].keys() == ({"total", "features", "pixel", "text"} if weight else {"total", "features"})
        for row in one if weight else ():
            assert row["total"] == pytest.approx(
                row["features"] + weight * (row["text"] + 0.4 * row["pixel"]), rel=1e-5
            )


def test_the_student_learns_the_teacher_stays_and_a_run_goes_on_exactly(teacher: str, tmp_path: Path) -> None:
    recipe = distilling(teacher).change(TUNING)
    model = pretrain(recipe, tmp_path / "whole").model
    assert losses(tmp_path / "whole", "train")[-1]["features"] < losses(tmp_path / "whole", "train")[0]["features"]
    images, trained = random_batch(0).images, load_encoder(teacher)
    assert torch.equal(model.teacher(images), trained(images))  # type: ignore[operator]
    student = load_encoder(tmp_path / "whole")
    assert student.recipe == recipe.encoder and not torch.equal(student(images), build_model(recipe).encoder(images))
    pretrain(recipe, tmp_path / "cut")
    (tmp_path / "cut/checkpoints/step-00000006").rename(tmp_path / "gone")
    pretrain(recipe, tmp_path / "cut", resume=True)
    assert losses(tmp_path / "cut", "train")[-3:] == losses(tmp_path / "whole", "train")[-3:]


def test_another_teacher_than_the_recipes_is_refused(teacher: str) -> None:
    with pytest.raises(ValueError, match="has the encoder EncoderRecipe"):
        build_model(distilling(teacher, teacher_encoder__depth=3))
