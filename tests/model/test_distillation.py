"""The distillation model: what the student is held against, and what moves it."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.model.distillation import Distillation, feature_loss
from aimv2_lab.recipes import DistillationRecipe, any_recipe_from_json
from tests.training.distillation_toy import distilling


@pytest.fixture
def model() -> Distillation:
    torch.manual_seed(0)
    return Distillation(distilling())


def test_errors_are_those_of_the_teachers_features_standardised_patch_by_patch(model: Distillation) -> None:
    images = torch.randn(3, 3, 24, 24)
    errors = model(images, torch.empty(3, 0, dtype=torch.long)).errors
    said, features = model.head(model.encoder(images)), model.teacher(images)
    for image in range(3):
        for patch in range(4):
            one = features[image, patch]
            target = (one - one.mean()) / one.std()
            assert errors[image, patch].item() == pytest.approx(
                (said[image, patch] - target).square().mean().item(), 1e-4
            )


def test_the_teacher_is_never_moved_and_its_scale_does_not_matter(model: Distillation) -> None:
    images, none = torch.randn(2, 3, 24, 24), torch.empty(2, 0, dtype=torch.long)
    before = model(images, none).errors
    before.sum().backward()
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    assert all(parameter.grad is not None for parameter in model.encoder.parameters())
    model.teacher.norm.weight.data *= 10
    torch.testing.assert_close(model(images, none).errors, before, rtol=1e-3, atol=1e-4)


def test_student_and_teacher_see_pictures_whole_and_predictions_are_under_the_prefix(model: Distillation) -> None:
    both = Distillation(distilling(pretraining_weight=1.0))
    images, tokens = torch.randn(2, 3, 24, 24, requires_grad=True), torch.tensor([[3, 4], [5, 6]])
    said = both(images, tokens, torch.tensor([1, 1]))
    (reach,) = torch.autograd.grad(said.errors[:, 0].sum(), images, retain_graph=True)
    assert reach[:, :, 12:, 12:].abs().sum() > 0
    (reach,) = torch.autograd.grad(said.predictions.pixels[:, 0].sum(), images)
    assert reach[:, :, 12:, :].abs().sum() == 0
    assert model(images, tokens).predictions is None and model.decoder is None


def test_shares_of_the_loss_add_up() -> None:
    errors = torch.rand(6, 4)
    parts = [feature_loss(part, 6) for part in errors.split([2, 3, 1])]
    torch.testing.assert_close(torch.stack(parts).sum(), errors.mean())


def test_a_recipe_is_read_back_and_what_does_not_fit_is_named() -> None:
    known = distilling()
    assert any_recipe_from_json(known.to_json()) == known and isinstance(known, DistillationRecipe)
    with pytest.raises(ValueError, match=r"patch by patch\. Give encoder the teacher's image_size and patch_size"):
        distilling(encoder__patch_size=8)
    with pytest.raises(ValueError, match="teacher is empty"):
        distilling(teacher="")
    with pytest.raises(ValueError, match=r"data\.tokenizer = '': pretraining_weight needs captions"):
        distilling(pretraining_weight=1.0, data__tokenizer="")
    with pytest.raises(ValueError, match="what goes on beside is AIMv2's pre-training, of pictures and captions"):
        distilling(pretraining_weight=1.0, objective__target="none", objective__pixel_weight=0.0)
    with pytest.raises(ValueError, match=r"engine\.weights = 'bfloat16': the frozen teacher"):
        distilling(engine__weights="bfloat16", training__precision="bfloat16")
