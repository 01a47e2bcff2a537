"""Directories that transformers loads, and reads as ours: nothing is missing, and pictures give the same features."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import Aimv2VisionConfig, Aimv2VisionModel, AutoImageProcessor, AutoModel

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.formats.export import export_encoder
from aimv2_lab.formats.folder import MODEL_FILE
from aimv2_lab.formats.huggingface import encoder_to_transformers, transformers_config, transformers_to_encoder
from aimv2_lab.formats.load import load_encoder, load_preprocessing
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.aimv1 import AIMv1Trunk
from aimv2_lab.recipes import EncoderRecipe, TrunkRecipe
from tests.formats.encoders import (
    AS_IT_IS,
    CROPPED,
    FIXED,
    NATIVE,
    assert_close,
    assert_same_weights,
    images,
    photograph,
    wide_encoder,
)

KINDS = pytest.mark.parametrize(
    ("recipe", "preprocessing"), [(FIXED, CROPPED), (NATIVE, AS_IT_IS)], ids=["fixed", "native"]
)
HEAD = pytest.mark.parametrize("head", [False, True], ids=["plain", "head"])


def their_model(recipe: EncoderRecipe, head: bool) -> Aimv2VisionModel:
    """transformers' model with wide weights of its own."""
    model = Aimv2VisionModel(Aimv2VisionConfig(**{**transformers_config(recipe), "use_head": head})).eval()
    draw_wide_weights(model, torch.Generator().manual_seed(5))
    return model


@KINDS
@HEAD
def test_a_photograph_gives_the_same_through_their_classes_and_through_ours(
    recipe: EncoderRecipe, preprocessing: Preprocessing, head: bool, tmp_path: Path
) -> None:
    encoder = wide_encoder(recipe, head)
    export_encoder(encoder, preprocessing, "transformers", tmp_path / "out")
    theirs, report = AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert type(theirs) is Aimv2VisionModel
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))
    processor = AutoImageProcessor.from_pretrained(tmp_path / "out")
    picture = photograph() if preprocessing.crop else photograph(154, 98)  # what fills no patch is lost there
    with torch.no_grad():
        said = theirs.eval()(**processor(picture, return_tensors="pt"), output_hidden_states=True)
        features = encoder.features(preprocessing(picture)[None])
        inner = encoder.features(preprocessing(picture)[None], layer=2, normed=False)
    assert_close(features.dense.flatten(1, 2), said.last_hidden_state)
    assert_close(inner.dense.flatten(1, 2), said.hidden_states[2])
    assert (said.pooler_output is None) == (features.pooled is None) == (not head)
    if features.pooled is not None:
        assert_close(features.pooled, said.pooler_output)


@KINDS
@HEAD
def test_their_own_directory_loads_and_is_written_again_bit_by_bit(
    recipe: EncoderRecipe, preprocessing: Preprocessing, head: bool, tmp_path: Path
) -> None:
    theirs = their_model(recipe, head)
    theirs.save_pretrained(tmp_path / "theirs")
    encoder = load_encoder(tmp_path / "theirs")
    assert encoder.recipe == recipe and not encoder.training
    with torch.no_grad():
        said, features = theirs(images()), encoder.features(images())
    assert_close(features.dense.flatten(1, 2), said.last_hidden_state)
    if features.pooled is not None:
        assert_close(features.pooled, said.pooler_output)
    export_encoder(encoder, preprocessing, "transformers", tmp_path / "again")
    before, after = (load_file(tmp_path / name / MODEL_FILE) for name in ("theirs", "again"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@KINDS
def test_there_and_back_is_the_identity(recipe: EncoderRecipe, preprocessing: Preprocessing, tmp_path: Path) -> None:
    encoder = wide_encoder(recipe, head=True)
    export_encoder(encoder, preprocessing, "transformers", tmp_path / "out")
    assert_same_weights(load_encoder(tmp_path / "out"), encoder)
    assert load_preprocessing(tmp_path / "out") == preprocessing
    plain = wide_encoder(recipe)
    returned = transformers_to_encoder(encoder_to_transformers(plain), recipe)
    assert all(torch.equal(returned[name], tensor) for name, tensor in plain.state_dict().items())


def test_weights_in_several_files_are_read_together(tmp_path: Path) -> None:
    theirs = their_model(FIXED, head=True)
    theirs.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len([*tmp_path.glob("*.safetensors")]) > 2
    loaded = encoder_to_transformers(load_encoder(tmp_path))
    assert all(torch.equal(loaded[name], tensor) for name, tensor in theirs.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_files_load_as_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    theirs = their_model(FIXED, head=True)
    torch.nn.Module.to(theirs, dtype)
    theirs.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")
    encoder = load_encoder(tmp_path)
    assert {tensor.dtype for tensor in encoder.state_dict().values()} == {torch.float32}
    assert torch.equal(encoder.norm.weight, theirs.rms_norm.weight.float())


def test_the_result_shares_no_memory_with_the_encoder() -> None:
    encoder = wide_encoder()
    before = encoder.state_dict()["blocks.0.attention.qkv.weight"].clone()
    encoder_to_transformers(encoder)["encoder.layers.0.attention.q_proj.weight"].zero_()
    assert torch.equal(encoder.state_dict()["blocks.0.attention.qkv.weight"], before)


def test_weights_that_do_not_fit_the_recipe_are_refused_by_name() -> None:
    state = encoder_to_transformers(wide_encoder())
    with pytest.raises(ValueError, match=r"1 unexpected \(head\.cls_token\)"):
        transformers_to_encoder(state | {"head.cls_token": torch.zeros(1)}, FIXED)
    with pytest.raises(ValueError, match=r"1 of another shape \(rms_norm\.weight: 3, not 64\)"):
        transformers_to_encoder(state | {"rms_norm.weight": torch.zeros(3)}, FIXED)
    state.pop("rms_norm.weight")
    with pytest.raises(ValueError, match=r"1 missing \(rms_norm\.weight\)"):
        transformers_to_encoder(state, FIXED)


def test_the_trunk_of_aim_v1_is_refused_because_transformers_has_no_such_model() -> None:
    with pytest.raises(ValueError, match="transformers has no model for the weights of AIMv1Trunk"):
        encoder_to_transformers(AIMv1Trunk(TrunkRecipe(image_size=28, width=16, depth=2, heads=2)))
