"""Runs of rival objectives: the same losses however batches are cut, exact resume, and an encoder that comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from aimv2_lab.formats.folder import load_model
from aimv2_lab.formats.load import load_encoder
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.generation import generate
from aimv2_lab.model.models import model_of
from aimv2_lab.recipes import RIVALS, ContrastiveRecipe, MaskedImageRecipe, Recipe, Rival, recipe, rival
from aimv2_lab.recipes.continuations import distillation_recipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model, pretrain
from aimv2_lab.training.run.folder import read_metrics
from aimv2_lab.training.step import batch_losses, loss_counts, train_step
from tests.training.rivals_toy import WHOLE, rival_batch, small_rival, world_rival

LOSSES = ("total", "pixel", "text", "matched", "gradient_norm")


def trace(name: Rival, micro_batch_size: int) -> list[list[float]]:
    recipe = small_rival(name, {"training.micro_batch_size": micro_batch_size})
    engine = LocalEngine(build_model(recipe).double(), recipe.training, torch.device("cpu"))
    rows = []
    for step in range(4):
        batch = rival_batch(step, recipe)
        batch = replace(batch, pictures=batch.images.double())
        rows.append([value.item() for value in train_step(engine, batch, loss_counts(batch, recipe), recipe)])
    return rows


def losses(run: Path, kind: str) -> list[dict[str, float]]:
    return [{name: row[name] for name in LOSSES if name in row} for row in read_metrics(run, kind)]


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("micro_batch_size", [1, 4])
def test_micro_batches_change_nothing(name: Rival, micro_batch_size: int) -> None:
    torch.testing.assert_close(trace(name, micro_batch_size), trace(name, 8), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", RIVALS)
def test_a_run_goes_on_exactly_and_its_encoder_is_loaded(name: Rival, tmp_path: Path) -> None:
    """On the generated world, whose captions are read where the objective has them."""
    recipe = world_rival(name)
    model = pretrain(recipe, tmp_path / "whole").model
    assert (tmp_path / "whole/tokenizer").is_dir() == bool(recipe.text_tokens)
    for kind in ("train", "validation"):
        for row in losses(tmp_path / "whole", kind):
            _check_parts(name, row)
    pretrain(recipe, tmp_path / "cut")
    (tmp_path / "cut/checkpoints/step-00000006").rename(tmp_path / "gone")
    pretrain(recipe, tmp_path / "cut", resume=True)
    for kind, left in (("train", 3), ("validation", 1)):
        assert losses(tmp_path / "cut", kind)[-left:] == losses(tmp_path / "whole", kind)[-left:]
    images = rival_batch(0, recipe).images
    encoder = load_encoder(tmp_path / "whole")
    assert encoder.recipe == recipe.encoder
    assert torch.equal(encoder(images), model.encoder(images))
    loaded = load_model(tmp_path / "whole")
    assert type(loaded) is type(model) and loaded.recipe == recipe
    assert loaded.state_dict().keys() == model.state_dict().keys()


def _check_parts(name: Rival, row: dict[str, float]) -> None:
    """What is not learned is 0, and the total is what is learned."""
    if name in ("clip", "siglip"):
        assert row["total"] > 0
    elif name in ("image-only", "masked-image"):
        assert row["text"] == 0 and row["total"] == row["pixel"] > 0.5
    else:
        assert row["pixel"] == 0 and row["total"] == row["text"] > 0.5


@pytest.mark.parametrize("name", RIVALS)
def test_every_weight_learns(name: Rival) -> None:
    """Nothing is drawn, kept or decayed that the objective does not use."""
    recipe = small_rival(name)
    model, batch = build_model(recipe), rival_batch(0, recipe)
    if isinstance(recipe, ContrastiveRecipe):
        engine = _Kept(model, recipe.training, torch.device("cpu"))
        train_step(engine, batch, loss_counts(batch, recipe), recipe)
    else:
        batch_losses(model, batch, loss_counts(batch, recipe), recipe).total.backward()
    idle = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert idle == []


def test_the_masked_loss_is_normalised_by_the_hidden_patches_of_the_global_batch() -> None:
    recipe = small_rival("masked-image")
    assert isinstance(recipe, MaskedImageRecipe)
    batch = rival_batch(0, recipe)
    assert loss_counts(batch, recipe) == (8 * 12, 0, 8)  # of 16 patches each
    found = batch_losses(build_model(recipe), batch, loss_counts(batch, recipe), recipe)
    assert 0.8 < found.total.item() < 3  # a standardised patch has the variance 1, a prediction at the start a little


@pytest.mark.parametrize("name", RIVALS)
def test_a_batch_seen_again_is_learned(name: Rival) -> None:
    recipe = small_rival(name, {"training.steps": 60, "training.peak_lr": 3e-3})
    engine, batch = LocalEngine(build_model(recipe), recipe.training, torch.device("cpu")), rival_batch(0, recipe)
    totals = [train_step(engine, batch, loss_counts(batch, recipe), recipe).total.item() for _ in range(60)]
    assert totals[-1] < 0.8 * totals[0]


class _Kept(LocalEngine):
    """Keeps the gradients that a step would have used."""

    def step(self) -> torch.Tensor:
        return torch.zeros(())


CAPTIONERS: tuple[Rival, ...] = ("caption-only", "caption-only-bidirectional", "cappa")


def test_what_a_captioner_shares_with_aimv2_begins_equal_and_every_encoder_does() -> None:
    """So that runs of one seed can be compared in pairs."""
    whole = build_model(WHOLE).state_dict()
    for name in CAPTIONERS:
        part = build_model(small_rival(name)).state_dict()
        assert part.keys() - whole.keys() <= {"decoder.mask_token"}
        assert whole.keys() - part.keys() == {"decoder.pixel_head.weight"}
        assert all(torch.equal(part[key], whole[key]) for key in part.keys() & whole.keys())
    for name in RIVALS:
        encoder = build_model(small_rival(name)).encoder
        encoder.head = None  # two towers'
        assert all(torch.equal(weight, whole[f"encoder.{key}"]) for key, weight in encoder.state_dict().items())


def test_a_model_without_captions_writes_none() -> None:
    model = model_of(small_rival("image-only"))
    assert isinstance(model, AIMv2)
    with pytest.raises(ValueError, match="reads no captions"):
        generate(model, torch.zeros(1, 3, 24, 24), end_id=0)


def test_what_is_trained_at_one_size_is_refused_for_pictures_of_many() -> None:
    native = recipe("tiny-native")
    for name in ("clip", "siglip", "masked-image"):
        with pytest.raises(ValueError, match=f"rival '{name}' of tiny-native, whose pictures have many sizes"):
            rival(name, native)
    with pytest.raises(ValueError, match=r"objective\.parallel_share = 0\.75 with resolution"):
        rival("cappa", native)
    kept = rival("caption-only", native)
    assert isinstance(kept, Recipe) and kept.resolution == native.resolution
    with pytest.raises(ValueError, match="student tiny-native"):
        distillation_recipe("teacher", recipe("tiny"), native)
    for field, value in (("objective.patch_order", "spiral"), ("decoder.separate", True)):
        with pytest.raises(ValueError, match="Leave them 'raster' and False"):
            distillation_recipe("teacher", recipe("tiny"), recipe("tiny").change({field: value}))
