"""The contrastive step: gradients of the whole batch's loss, however it is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from aimv2_lab.formats.folder import load_model, save_model
from aimv2_lab.formats.load import load_encoder
from aimv2_lab.model.two_towers import TwoTowers, contrastive_losses
from aimv2_lab.recipes import ContrastiveRecipe, any_recipe_from_json
from aimv2_lab.training.contrastive import embeddings
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model, pretrain
from aimv2_lab.training.optimizers.building import build_optimizer
from aimv2_lab.training.optimizers.matrix_optimizer import MatrixOptimizer
from aimv2_lab.training.run.folder import read_metrics
from aimv2_lab.training.step import loss_counts, train_step
from tests.training.contrastive_toy import paired
from tests.training.toy import random_batch

QUICK = {"training__steps": 6, "training__validate_every": 3, "training__checkpoint_every": 3, "training__log_every": 1}


class Kept(LocalEngine[TwoTowers]):
    """Keeps the gradients that a step would have used."""

    gradients: dict[str, Tensor]

    def step(self) -> Tensor:
        """Remember, change nothing."""
        self.gradients = {n: p.grad.clone() for n, p in self.model.named_parameters() if p.grad is not None}
        return torch.zeros(())


def gradients(recipe: ContrastiveRecipe) -> tuple[dict[str, Tensor], float]:
    model = build_model(recipe)
    assert isinstance(model, TwoTowers)
    engine, batch = Kept(model, recipe.training, torch.device("cpu")), random_batch(3)
    result = train_step(engine, batch, loss_counts(batch, recipe), recipe)
    return engine.gradients, result.total.item()


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
@pytest.mark.parametrize("micro", [1, 2, 4, 8])
def test_the_gradient_is_that_of_the_whole_batch(loss: str, micro: int) -> None:
    recipe = paired(loss=loss, training__micro_batch_size=micro)
    found, total = gradients(recipe)
    model, batch = build_model(recipe), random_batch(3)
    said = embeddings(model, batch)
    whole = contrastive_losses(said, said.images, said.texts, 0, recipe.loss)
    whole.total.backward()
    assert total == pytest.approx(whole.total.item(), rel=1e-6)
    expected = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6 * gradient.abs().max().item(), msg=name)


def test_a_frozen_image_tower_stays_and_the_rest_is_trained(tmp_path: Path) -> None:
    trained = build_model(paired(training__seed=5))
    (tmp_path / "start").mkdir()
    save_model(tmp_path / "start", trained)
    recipe = paired(start=str(tmp_path / "start"), image_tower="frozen", **QUICK)
    model = pretrain(recipe, tmp_path / "run").model
    untrained = build_model(recipe)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, untrained.get_parameter(name))}
    moved = {name.removeprefix("encoder.").split(".")[0] for name in moved}
    assert moved == {"head", "text", "image_projection", "text_projection", "log_scale"}
    start = {name: weight for name, weight in trained.encoder.state_dict().items() if not name.startswith("head.")}
    for name, weight in start.items():
        assert torch.equal(model.encoder.state_dict()[name], weight)
    images = random_batch(0).images
    assert torch.equal(load_encoder(tmp_path / "run")(images), trained.encoder(images))
    assert isinstance(load_model(tmp_path / "run"), TwoTowers)


def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    recipe = paired(**QUICK)
    pretrain(recipe, tmp_path / "whole")
    pretrain(recipe.change({"training.steps": 6}), tmp_path / "cut")
    (tmp_path / "cut/checkpoints/step-00000006").rename(tmp_path / "gone")
    pretrain(recipe, tmp_path / "cut", resume=True)
    whole, cut = (read_metrics(tmp_path / name, "train") for name in ("whole", "cut"))
    again = [row["total"] for row in cut][-3:]
    assert again == [row["total"] for row in whole][-3:]


def test_validation_does_not_depend_on_micro_batches(tmp_path: Path) -> None:
    """All pairs of a batch are held against each other, as in training."""
    found = []
    for micro in (2, 8):
        run = tmp_path / str(micro)
        pretrain(paired(**{**QUICK, "training__micro_batch_size": micro}), run)
        found.append([(row["total"], row["matched"]) for row in read_metrics(run, "validation")])
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_a_recipe_is_read_back_and_what_cannot_be_is_refused() -> None:
    recipe = paired()
    assert any_recipe_from_json(recipe.to_json()) == recipe
    with pytest.raises(ValueError, match="freezes its image tower and names no start: add --start"):
        build_model(paired(image_tower="frozen"))
    with pytest.raises(ValueError, match=r"data\.tokenizer = 'classes': texts need one"):
        paired(data__tokenizer="classes")
    with pytest.raises(ValueError, match=r"training\.batch_size = 1"):
        paired(training__batch_size=1, training__micro_batch_size=1)


def test_muon_has_the_matrices_of_both_towers_but_of_a_frozen_one_none(tmp_path: Path) -> None:
    recipe = paired(training__optimizer="muon", **QUICK)
    save_model(tmp_path, build_model(recipe))
    frozen = recipe.change({"start": str(tmp_path), "image_tower": "frozen"})
    assert (_muon_towers(recipe), _muon_towers(frozen)) == ({"encoder", "text"}, {"text"})
    before = build_model(recipe).state_dict()
    after = pretrain(recipe, tmp_path / "run").model.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in before if name.endswith("qkv.weight"))


def _muon_towers(recipe: ContrastiveRecipe) -> set[str]:
    """The towers whose matrices Muon has."""
    model = build_model(recipe)
    optimizer = build_optimizer(model, recipe.training)
    assert isinstance(optimizer, MatrixOptimizer)
    holders = (held for name, weight in model.named_parameters() for held in optimizer.holders(name, weight))
    return {name.split(".")[0] for name, holder, _ in holders if holder is optimizer.matrix_method}


def test_a_run_goes_on_without_its_start(tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    save_model(tmp_path / "start", build_model(paired(training__seed=5)))
    recipe = paired(start=str(tmp_path / "start"), image_tower="frozen", **QUICK)
    pretrain(recipe, tmp_path / "run")
    whole = [row["total"] for row in read_metrics(tmp_path / "run", "train")]
    (tmp_path / "start").rename(tmp_path / "elsewhere")
    for number, place in enumerate(("start", "elsewhere")):
        (tmp_path / "run/checkpoints/step-00000006").rename(tmp_path / f"gone {number}")
        model = pretrain(recipe.change({"start": str(tmp_path / place)}), tmp_path / "run", resume=True).model
        assert not any(p.requires_grad for n, p in model.encoder.named_parameters() if not n.startswith("head."))
        assert [row["total"] for row in read_metrics(tmp_path / "run", "train")] == whole
