"""Adaptation: a whole model begins as its start at another resolution, without decay and synthetic captions, and goes
on exactly; starts that are another model are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from aimv2_lab import load_encoder
from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.data.tokenizer import CaptionTokenizer, load_tokenizer
from aimv2_lab.formats.export import export_encoder
from aimv2_lab.formats.folder import load_model, save_model
from aimv2_lab.formats.whole import load_pretrained, pretrained_recipe
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import Recipe, recipe
from aimv2_lab.recipes.continuations import adaptation_recipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model, open_data, pretrain
from aimv2_lab.training.optimizers.building import build_optimizer
from aimv2_lab.training.run.folder import read_metrics
from tests.data.generated import write_image_folder
from tests.training.adaptation_toy import WHOLE, adapting
from tests.training.finetune_toy import checkpoint, tuning
from tests.training.toy import SILENT

LAST = "checkpoints/step-00000006"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("start") / "model", WHOLE)


@pytest.fixture(scope="module")
def finished(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    pretrain(adapting(start), run)
    return run


def larger(count: int = 2, side: int = 36) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def resized(table: Tensor, grid: int) -> Tensor:
    """A table of 4 x 4 patches by Pillow's bicubic filter, number by number of the vectors."""
    planes = table.reshape(4, 4, -1).permute(2, 0, 1).numpy()
    images = (Image.fromarray(plane).resize((grid, grid), Image.Resampling.BICUBIC) for plane in planes)
    return torch.from_numpy(np.stack([np.asarray(image) for image in images], axis=-1)).flatten(0, 1)


@pytest.mark.parametrize("side", [18, 36, 48])
def test_the_position_table_is_resized_and_every_other_weight_is_the_starts(start: Path, side: int) -> None:
    mine = build_model(adapting(start, **{"encoder.image_size": side})).state_dict()
    theirs = load_file(start / "model.safetensors")
    assert mine.keys() == theirs.keys()
    assert theirs["encoder.positions"].std() > 0.04  # far from zero, so that what is compared is no noise
    expected = theirs | {"encoder.positions": resized(theirs["encoder.positions"], side // 6)}
    for name, weight in mine.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6 if name == "encoder.positions" else 0)


def test_it_begins_as_the_loaded_encoder_and_the_starts_decoder(start: Path) -> None:
    model, tokens = build_model(adapting(start)).eval(), torch.randint(0, 256, (2, 5))
    features = load_encoder(start, image_size=36)(larger())
    assert torch.equal(model.encoder(larger()), features)
    trained = load_model(start)
    assert isinstance(trained, AIMv2)
    pixels, logits = model(larger(), tokens)
    assert pixels.shape == (2, 36, 108)
    expected = trained.decoder(features, tokens)
    assert torch.equal(pixels, expected.pixels) and torch.equal(logits, expected.logits)


def test_sine_cosine_positions_begin_with_the_starts_weights_as_they_are(tmp_path: Path) -> None:
    known = WHOLE.change({"encoder.positions": "sincos"})
    place = checkpoint(tmp_path / "model", known)
    model = build_model(adaptation_recipe(str(place), known, known.change({"encoder.image_size": 36})))
    theirs = load_file(place / "model.safetensors")
    assert all(torch.equal(weight, theirs[name]) for name, weight in model.state_dict().items())


def test_no_weight_decays(start: Path) -> None:
    """Without gradients nothing moves; with the preset's own decay it would."""
    for optimizer in ("adamw", "muon"):
        known = adapting(start, **{"training.optimizer": optimizer, "training.micro_batch_size": 8})
        assert known.training.weight_decay == 0
        for decay, moves in ((0.0, False), (0.1, True)):
            trained = known.change({"training.weight_decay": decay})
            model = build_model(trained)
            assert {group["weight_decay"] > 0 for group in build_optimizer(model, trained.training).param_groups} == (
                {False, True} if moves else {False}
            )
            engine = LocalEngine(model, trained.training, torch.device("cpu"))
            for parameter in model.parameters():
                parameter.grad = torch.zeros_like(parameter)
            before = {name: weight.clone() for name, weight in model.state_dict().items()}
            engine.step()
            engine.step()
            changed = any(not torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
            assert changed == moves


def test_order_and_prefixes_begin_again_unless_another_seed_is_set(start: Path) -> None:
    def first(known: Recipe) -> tuple[list[str], list[float]]:
        seen = open_data(known).training
        samples = [seen[position] for position in range(12)]
        return [sample.key for sample in samples], [sample.prefix_length / known.encoder.patches for sample in samples]

    keys, shares = first(WHOLE.change({"data.source": "world:easy:64"}))
    again, same_shares = first(adapting(start))
    assert again == keys and same_shares == pytest.approx(shares, abs=1 / 16)
    others, other_shares = first(adapting(start, **{"training.seed": 1}))
    assert others != keys and other_shares != pytest.approx(shares, abs=1 / 16)


def test_it_is_trained_whole_and_its_encoder_is_read_as_any(finished: Path, start: Path) -> None:
    begun, ended = build_model(adapting(start)).state_dict(), load_file(finished / LAST / "model.safetensors")
    assert all(not torch.equal(weight, ended[name]) for name, weight in begun.items())
    assert load_encoder(finished)(larger()).shape == (2, 36, 32)
    assert {"pixel", "text"} <= read_metrics(finished, "validation")[-1].keys()


def test_a_resumed_run_is_bit_equal_and_needs_its_start_no_more(finished: Path, start: Path, tmp_path: Path) -> None:
    run, moved = tmp_path / "run", shutil.copytree(start, tmp_path / "moved")
    shutil.copytree(finished, run)
    shutil.rmtree(run / LAST)
    known = adapting(moved)
    shutil.rmtree(moved)
    pretrain(known, run, resume=True)
    for file in ("model.safetensors", "optimizer.safetensors"):
        one, other = load_file(finished / LAST / file), load_file(run / LAST / file)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    losses = [[(row["step"], row["total"]) for row in read_metrics(place)] for place in (finished, run)]
    assert losses[0] == losses[1]


def test_an_adapted_run_is_a_start_again_and_hands_its_tokenizer_on(finished: Path) -> None:
    again = adapting(finished, **{"encoder.image_size": 48})
    assert again.data.tokenizer == str(finished / "tokenizer") and again.start == str(finished)
    assert load_tokenizer(again.data.tokenizer).content() == load_tokenizer("world").content()
    assert build_model(again)(larger(side=48), torch.zeros(2, 3, dtype=torch.long)).pixels.shape == (2, 64, 108)
    assert adapting(finished / LAST).data.tokenizer == again.data.tokenizer


# Captions


def captioned(folder: Path) -> Path:
    """Twenty-four pictures, every third without an alt text."""
    lines = [
        {"file_name": f"{n}.png", "text": f"alt {n}" if n % 3 else "", "made_up": f"synthetic {n}"} for n in range(24)
    ]
    return write_image_folder(folder, lines)


BOTH = {"synthetic_column": "made_up", "synthetic_share": 0.5}


@pytest.mark.parametrize("mixture", [False, True])
def test_no_synthetic_caption_is_drawn(start: Path, tmp_path: Path, mixture: bool) -> None:
    place = {"source": str(captioned(tmp_path / "pictures"))}
    others = place | BOTH | {"synthetic_share": 1.0, "name": "made-up"}
    named: dict[str, Any] = {f"data.{name}": value for name, value in (place | BOTH).items()}
    named = {"data.mixture": [place | BOTH | {"weight": 3}, others]} if mixture else named
    known = WHOLE.change({**named, "data.validation_share": 0.3, "data.damage_limit": 1.0})
    adapted = adaptation_recipe(str(start), pretrained_recipe(start), known)
    adapted, known = (found.change({"data.tokenizer": "captions", "start": ""}) for found in (adapted, known))
    adapted, known = (found.change({"decoder.vocabulary": 512}) for found in (adapted, known))
    assert "synthetic" in drawn(known)
    assert drawn(adapted) == {"alt"}
    assert len(adapted.data.mixture) == (1 if mixture else 0)


def drawn(known: Recipe) -> set[str]:
    """The first words of captions in four epochs of training and one of validation."""
    found = open_data(known)
    assert isinstance(found.tokenizer, CaptionTokenizer)
    samples = [found.training[n] for n in range(4 * len(found.training.source))]
    samples += [found.validation[n] for n in range(len(found.validation.source))]
    return {found.tokenizer.decode(sample.tokens[sample.counted]).split()[0] for sample in samples}


def test_data_that_are_synthetic_alone_are_refused() -> None:
    alone = WHOLE.change({"data.mixture": [{"source": "somewhere", **BOTH, "synthetic_share": 1.0}]})
    with pytest.raises(ValueError, match=r"every part of data\.mixture is there for synthetic captions alone"):
        adaptation_recipe("start", WHOLE, alone)


def test_what_the_start_has_learned_to_read_stays() -> None:
    seen = WHOLE.change({"data.mean": [0.1, 0.2, 0.3], "data.std": [0.4, 0.5, 0.6], "data.caption_column": "c"})
    found = adaptation_recipe("start", seen, recipe("aimv2-large-336"))
    assert (found.data.mean, found.data.std, found.data.tokenizer) == (seen.data.mean, seen.data.std, "world")
    assert [part.name for part in found.data.mixture] == ["dfn-alt", "coyo-alt", "hqitp-alt"]
    own = adaptation_recipe("start", seen, recipe("small"))
    assert (own.data.source, own.data.caption_column, own.name) == (seen.data.source, "c", "small-from-tiny")
    assert own.training == recipe("small", {"training.weight_decay": 0.0}).training


# Refusals


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"encoder.depth": 1}, "encoder.depth is 2 there, 1 in the recipe"),
        ({"encoder.width": 64}, "encoder.width is 32 there, 64 in the recipe"),
        ({"encoder.patch_size": 12}, "encoder.patch_size is 6 there, 12 in the recipe"),
        ({"encoder.patch_size": 4, "encoder.image_size": 32}, "encoder.patch_size is 6 there, 4 in the recipe"),
        ({"encoder.positions": "sincos"}, "encoder.positions is 'learned' there, 'sincos' in the recipe"),
        ({"decoder.vocabulary": 300, "decoder.width": 64}, "decoder.width is 32 there, 64 in the recipe; decoder.voc"),
        ({"decoder.text_tokens": 41}, "decoder.text_tokens is 40 there, 41 in the recipe"),
        ({"objective.target": "raw"}, "objective.target is 'standardised' there, 'raw' in the recipe"),
    ],
)
def test_another_model_is_refused_with_both_values(changes: dict[str, Any], named: str, start: Path) -> None:
    with pytest.raises(ValueError, match="is another model: ") as refused:
        build_model(adapting(start, **changes))
    assert named in str(refused.value) and "Name the recipe of that model" in str(refused.value)


def test_the_pixel_weight_and_the_encoders_attention_are_free(start: Path) -> None:
    build_model(adapting(start, **{"objective.pixel_weight": 0.2, "objective.encoder_attention": "causal"}))


def test_an_encoder_alone_and_other_kinds_of_models_are_refused(start: Path, tmp_path: Path) -> None:
    known = Preprocessing((0.4, 0.5, 0.6), (0.2, 0.2, 0.2), 24, 24)
    export_encoder(load_encoder(start), known, "transformers", str(tmp_path / "theirs"))
    export_encoder(load_encoder(start), known, "apple", str(tmp_path / "apple"))
    for place in ("theirs", "apple"):
        with pytest.raises(ValueError, match=r"holds an encoder alone, .* start from a run of launch\.pretrain"):
            load_pretrained(tmp_path / place)
    silent = checkpoint(tmp_path / "silent", SILENT)
    tuned = tuning(start, "full", classes=["a", "b"])
    (tmp_path / "tuned").mkdir()
    save_model(tmp_path / "tuned", build_model(tuned))
    for folder, kind in ((silent, "AIMv1Recipe"), (tmp_path / "tuned", "FinetuneRecipe")):
        with pytest.raises(ValueError, match=f"is of a {kind}, not of AIMv2's pre-training"):
            load_pretrained(folder)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_pretrained(tmp_path / "nowhere")


def test_another_tokenizer_than_the_starts_is_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.tokenizer = 'captions' would train another tokenizer"):
        adapting(finished, **{"data.tokenizer": "captions"})
    place = shutil.copytree(finished, tmp_path / "run")
    own, trained = load_tokenizer("captions", 300, lambda: ["one caption"]), str(tmp_path / "other")
    own.save(trained)
    with pytest.raises(ValueError, match=r"data\.tokenizer is another tokenizer than .*tokenizer, whose tokens"):
        pretrain(adapting(place, **{"data.tokenizer": trained}), tmp_path / "adapted")
    shutil.rmtree(place / "tokenizer")
    assert adapting(place).data.tokenizer == "world"  # by its name, where the folder is gone
    save_model(place / LAST, build_model(WHOLE.change({"data.tokenizer": "captions"})))
    with pytest.raises(ValueError, match=r"has trained a tokenizer on its captions, and .* is not there"):
        pretrained_recipe(place)
