"""Fine-tuning: what is trained and how fast, exact resume, plain weights out, refusals."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from aimv2_lab import load_encoder
from aimv2_lab.formats.folder import RECIPE_FILE, load_model, read_recipe
from aimv2_lab.model.aimv1 import AIMv1Trunk
from aimv2_lab.model.classifier import Classifier
from aimv2_lab.recipes import FinetuneRecipe, any_recipe_from_json
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.finetune import MODEL, finetune, save_classifier
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.optimizers.building import build_optimizer, set_learning_rate
from aimv2_lab.training.run.folder import read_metrics
from aimv2_lab.training.step import batch_losses, loss_counts
from tests.training.finetune_toy import checkpoint, tuning
from tests.training.toy import SILENT, random_batch

Method = Literal["full", "lora", "frozen"]
METHODS: tuple[Method, ...] = ("full", "lora", "frozen")
FIVE = ["a", "b", "c", "d", "e"]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("start") / "model")


@pytest.fixture(scope="module")
def finished(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of each method, by its name."""
    root = tmp_path_factory.mktemp("runs")
    for method in METHODS:
        finetune(tuning(start, method), root / method)
    return root


def rates(model: Classifier, recipe: FinetuneRecipe) -> dict[str, float]:
    """The learning rate of every trained parameter at the peak, over the peak."""
    optimizer = build_optimizer(model, recipe.training)
    set_learning_rate(optimizer, recipe.training.warmup_steps, recipe.training)
    by_parameter = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert set(by_parameter) == set(trained.values())
    return {name: by_parameter[p] / recipe.training.peak_lr for name, p in trained.items()}


def test_lower_layers_learn_slower(start: Path) -> None:
    recipe = tuning(start, "full", classes=FIVE, layer_decay=0.5)
    found = rates(build_model(recipe), recipe)
    for name, rate in found.items():
        if name.startswith("encoder.blocks."):
            expected = {0: 0.25, 1: 0.5}[int(name.split(".")[2])]
        else:
            expected = 0.125 if name.startswith("encoder.patch") else 1.0
        assert rate == pytest.approx(expected), name
    assert {round(rate, 4) for rate in found.values()} == {0.125, 0.25, 0.5, 1.0}


def test_what_decays_is_what_decays_in_pre_training(start: Path) -> None:
    recipe = tuning(start, "full", classes=FIVE)
    model = build_model(recipe)
    decayed = {
        p for g in build_optimizer(model, recipe.training).param_groups if g["weight_decay"] for p in g["params"]
    }
    assert {name for name, p in model.named_parameters() if p in decayed} == {
        name for name, p in model.named_parameters() if p.ndim > 1
    }


@pytest.mark.parametrize("method", ["lora", "frozen"])
def test_adapters_and_head_alone_have_one_rate(method: Method, start: Path) -> None:
    recipe = tuning(start, method, classes=FIVE)
    assert set(rates(build_model(recipe), recipe).values()) == {1.0}


def changed(run: Path, start: Path) -> set[str]:
    """The weights of a finished encoder that are not the start's."""
    before, after = load_encoder(start).state_dict(), load_encoder(run / MODEL).state_dict()
    return {name for name, weight in after.items() if not torch.equal(weight, before[name])}


def test_exactly_what_is_to_be_trained_changes(finished: Path, start: Path) -> None:
    names = set(load_encoder(start).state_dict())
    linear = {f"blocks.{i}.{n}.weight" for i in (0, 1) for n in ("attention.qkv", "attention.out")}
    linear |= {f"blocks.{i}.feed_forward.{n}.weight" for i in (0, 1) for n in ("gate", "up", "down")}
    assert changed(finished / "full", start) == names
    assert changed(finished / "lora", start) == linear
    assert changed(finished / "frozen", start) == set()
    for method in METHODS:
        head = load_file(finished / method / MODEL / "model.safetensors")["head.weight"]
        assert head.abs().min() > 0  # it starts from zeros


def test_lora_starts_as_the_checkpoint_and_trains_adapters_in_its_checkpoints(finished: Path, start: Path) -> None:
    images = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    adapted = build_model(tuning(start, "lora", classes=FIVE)).encoder
    assert torch.equal(adapted(images), load_encoder(start)(images))
    saved = load_file(finished / "lora/checkpoints/step-00000006/model.safetensors")
    original = load_encoder(start).state_dict()
    bases = [name for name in saved if ".base_layer." in name]
    assert len(bases) == 10
    for name in bases:
        plain = name.removeprefix("encoder.").replace(".base_layer", "")
        assert torch.equal(saved[name], original[plain])


def test_merged_weights_give_what_the_adapters_gave(start: Path, tmp_path: Path) -> None:
    engine = finetune(tuning(start, "lora"), tmp_path / "run")
    images = torch.randn(4, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    expected = engine.model.eval()(images)
    for place in (tmp_path / "run" / MODEL, tmp_path / "run"):  # the model, and the newest checkpoint
        model = load_model(place)
        assert isinstance(model, Classifier)
        assert not any("lora" in name for name, _ in model.named_parameters())
        torch.testing.assert_close(model(images), expected, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(load_encoder(start)(images), model.encoder(images), rtol=1e-3)
        torch.testing.assert_close(load_encoder(place)(images), model.encoder(images))


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_is_bit_equal(method: Method, finished: Path, start: Path, tmp_path: Path) -> None:
    whole, run = finished / method, tmp_path / "run"
    shutil.copytree(whole, run)
    shutil.rmtree(run / "checkpoints/step-00000006")
    shutil.rmtree(run / MODEL)
    finetune(tuning(start, method), run, resume=True)
    for file in ("model.safetensors", "optimizer.safetensors"):
        one, other = (load_file(place / "checkpoints/step-00000006" / file) for place in (whole, run))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    losses = [[(row["step"], row["total"], row["top1"]) for row in read_metrics(place)] for place in (whole, run)]
    assert losses[0] == losses[1]


def test_micro_batches_change_nothing(start: Path) -> None:
    recipe = tuning(start, "full", classes=FIVE, **{"training.batch_size": 8})
    batch = random_batch(0)
    labelled = type(batch)(
        batch.images, batch.tokens[:, :1] % 5, torch.ones(8, 1, dtype=torch.bool), batch.prefix_lengths, batch.keys
    )
    model = build_model(recipe)
    torch.nn.init.normal_(model.head.weight)
    counts = loss_counts(labelled, recipe)
    assert counts.tokens == 8
    whole = batch_losses(model, labelled, counts, recipe)
    parts = [batch_losses(model, part, counts, recipe) for part in labelled.split(3)]
    assert sum(part.total.item() for part in parts) == pytest.approx(whole.total.item(), rel=1e-6)
    assert sum(part.top1.item() for part in parts) == pytest.approx(whole.top1.item())
    right = (model(labelled.images).argmax(-1) == labelled.tokens[:, 0]).float().mean().item()
    assert whole.top1.item() == pytest.approx(right)


def test_a_recipe_is_read_as_it_was_written(start: Path, finished: Path) -> None:
    recipe = tuning(start, "lora", classes=FIVE)
    assert any_recipe_from_json(recipe.to_json()) == recipe
    written = any_recipe_from_json((finished / "lora/recipe.json").read_text())
    assert isinstance(written, FinetuneRecipe)
    assert written.classes == ("circle", "square", "triangle", "cross", "bar")


def test_aim_v1s_trunk_is_a_start_too(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "silent", SILENT)
    recipe = tuning(start, "lora")
    assert any_recipe_from_json(recipe.to_json()) == recipe
    finetune(recipe, tmp_path / "run")
    assert isinstance(load_encoder(tmp_path / "run" / MODEL), AIMv1Trunk)


def test_pictures_of_another_size_where_positions_allow_it(start: Path) -> None:
    model = build_model(tuning(start, "full", classes=FIVE, **{"encoder.image_size": 36}))
    assert model(torch.zeros(1, 3, 36, 36)).shape == (1, 5)


def test_a_start_that_is_none_or_another_is_refused(start: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no weights in"):
        tuning(tmp_path, "full")
    with pytest.raises(ValueError, match=r"has the encoder .*leave the fields of encoder"):
        build_model(tuning(start, "full", classes=FIVE, **{"encoder.depth": 1}))
    with pytest.raises(ValueError, match="classes is empty"):
        build_model(tuning(start, "full"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "adapters"}, "must be one of full, lora, frozen"),
        ({"layer_decay": 1.5}, "layer_decay = 1.5"),
        ({"lora_rank": 0}, "lora_rank = 0"),
        ({"classes": ["a"]}, "at least two"),
        ({"classes": ["a", "a"]}, "each once"),
        ({"start": ""}, "start is empty"),
        ({"data.tokenizer": "world"}, "fine-tuning reads labels"),
        ({"training.optimizer": "muon"}, "fine-tuning has adamw alone"),
        (
            {"method": "lora", "engine.weights": "bfloat16", "training.precision": "bfloat16"},
            "engine.weights = 'bfloat16' with method = 'lora'",
        ),
    ],
)
def test_recipes_that_cannot_be_are_refused(changes: dict[str, Any], message: str, start: Path) -> None:
    with pytest.raises(ValueError, match=message):
        tuning(start, "full").change(changes)


def test_a_classifier_is_there_until_the_next_one_is_whole(
    start: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, recipe = tmp_path / MODEL, tuning(start, "full", classes=FIVE)
    first, second = (build_model(recipe.change({"classes": FIVE[:n]})) for n in (4, 5))
    save_classifier(folder, first.recipe, first.state_dict())
    with monkeypatch.context() as broken, pytest.raises(OSError, match="full"):
        broken.setattr("aimv2_lab.training.finetune.save_weights", full_disk)
        save_classifier(folder, second.recipe, second.state_dict())
    assert read_recipe(folder / RECIPE_FILE) == first.recipe
    load_model(folder)
    save_classifier(folder, second.recipe, second.state_dict())
    assert read_recipe(folder / RECIPE_FILE) == second.recipe
    load_model(folder)
    assert list(tmp_path.iterdir()) == [folder]


def full_disk(*_: object) -> None:
    raise OSError("full")


def test_frozen_weights_get_no_gradient_and_no_optimizer_state(start: Path) -> None:
    recipe = tuning(start, "lora", classes=FIVE)
    engine = LocalEngine(build_model(recipe), recipe.training, torch.device("cpu"))
    logits: Tensor = engine.forward(torch.randn(2, 3, 24, 24))
    engine.backward(logits.square().sum() + logits.sum())
    engine.step()
    frozen = [name for name, p in engine.model.named_parameters() if not p.requires_grad]
    assert len(frozen) > 10
    assert not any(name in key for key in engine.optimizer_state() for name in frozen)
