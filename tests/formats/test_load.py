"""What `load_encoder` recognises, what it refuses, and that it says what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Aimv2Config, Aimv2Model

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.formats import export
from aimv2_lab.formats.export import Format, export_encoder
from aimv2_lab.formats.folder import MODEL_FILE, save_model
from aimv2_lab.formats.load import load_encoder, load_preprocessing
from aimv2_lab.formats.names import APPLE, to_theirs
from aimv2_lab.formats.timm_directory import timm_files, timm_preprocessing, timm_recipe
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.positions import resized_positions
from aimv2_lab.recipes import EncoderRecipe, recipe
from aimv2_lab.recipes.data import CLIP_MEAN, CLIP_STD
from tests.formats.encoders import (
    AS_IT_IS,
    CROPPED,
    FIXED,
    NATIVE,
    RELEASED_RULE,
    assert_close,
    assert_same_weights,
    images,
    photograph,
    wide_encoder,
)
from tests.model.tiny import RECIPE
from tests.native_toy import NATIVE as OWN_NATIVE

FORMATS: list[Format] = ["transformers", "timm", "apple"]


def exported(folder: Path, to: Format = "transformers", encoder: VisionEncoder | None = None) -> Path:
    export_encoder(encoder or wide_encoder(), CROPPED, to, folder)
    return folder


def change_config(folder: Path, **fields: Any) -> None:
    """Set fields of config.json; None takes one away."""
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **fields}
    file.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))


def change_tensors(folder: Path, remove: str = "", **changed: Tensor) -> None:
    tensors = load_file(folder / MODEL_FILE)
    tensors.pop(remove, None)
    save_file({**tensors, **{name.replace("__", "."): tensor for name, tensor in changed.items()}}, folder / MODEL_FILE)


@pytest.mark.parametrize("to", FORMATS)
def test_every_format_comes_back_whole(to: Format, tmp_path: Path) -> None:
    folder = exported(tmp_path / to, to)
    assert_same_weights(load_encoder(folder), wide_encoder())
    assert_same_weights(load_encoder(folder / MODEL_FILE), wide_encoder())  # config.json lies beside it
    found, picture = load_preprocessing(folder), photograph()
    assert torch.equal(found(picture), CROPPED(picture))


@pytest.mark.parametrize(("recipe_", "head"), [(NATIVE, False), (NATIVE, True), (FIXED, True)])
def test_apples_names_have_every_kind(recipe_: EncoderRecipe, head: bool, tmp_path: Path) -> None:
    encoder = wide_encoder(recipe_, head)
    export_encoder(encoder, AS_IT_IS, "apple", tmp_path / "out")
    assert_same_weights(load_encoder(tmp_path / "out"), encoder)
    assert load_preprocessing(tmp_path / "out") == AS_IT_IS


def test_the_directory_of_apples_names_is_no_transformers_model(tmp_path: Path) -> None:
    """With model_type aimv2 it would be one of other, random weights."""
    from transformers import AutoModel

    with pytest.raises(ValueError, match="model_type"):
        AutoModel.from_pretrained(exported(tmp_path / "out", "apple"))


def test_a_file_alone_gives_the_released_sizes(tmp_path: Path) -> None:
    encoder = wide_encoder(RELEASED_RULE, head=True)
    save_file(to_theirs(encoder.state_dict(), APPLE), tmp_path / "alone.safetensors")
    assert_same_weights(load_encoder(tmp_path / "alone.safetensors"), encoder)
    with pytest.raises(FileNotFoundError, match="does not say how its pictures are read"):
        load_preprocessing(tmp_path / "alone.safetensors")


def test_a_file_alone_whose_heads_cannot_be_told_is_refused(tmp_path: Path) -> None:
    save_file(to_theirs(wide_encoder().state_dict(), APPLE), tmp_path / "alone.safetensors")
    with pytest.raises(ValueError, match=r"the heads of an encoder of width 64 .* put a config\.json"):
        load_encoder(tmp_path / "alone.safetensors")


def test_an_old_remote_code_directory_is_recognised_and_its_code_not_run(tmp_path: Path) -> None:
    folder = exported(tmp_path / "old", "apple", wide_encoder(NATIVE))
    flat = {
        "model_type": "aimv2",
        "architectures": ["AIMv2Model"],
        "auto_map": {"AutoModel": "modeling_aimv2.AIMv2Model"},
    }
    extra = {
        "num_channels": 3,
        "attention_dropout": 0.0,
        "projection_dropout": 0.0,
        "qkv_bias": False,
        "use_bias": False,
    }
    change_config(folder, **flat, **extra, is_native=None, use_head=None, torch_dtype="float32")
    (folder / "modeling_aimv2.py").write_text("raise SystemExit('this code was run')")
    assert_same_weights(load_encoder(folder), wide_encoder(NATIVE))


def test_of_a_model_with_a_text_tower_the_image_encoder_is_read_and_the_rest_is_said(tmp_path: Path) -> None:
    vision = {"hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 3, "num_attention_heads": 4}
    text = {"vocab_size": 100, "hidden_size": 32, "intermediate_size": 88, "num_hidden_layers": 2, "eos_token_id": 99}
    sizes = {**vision, "image_size": 56}
    model = Aimv2Model(Aimv2Config(vision_config=sizes, text_config={**text, "num_attention_heads": 2})).eval()
    draw_wide_weights(model.vision_model, torch.Generator().manual_seed(0))
    model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"the image encoder alone is read, not the \d+ other tensors \(.*logit_scale"):
        encoder = load_encoder(tmp_path)
    with torch.no_grad():
        said, features = model.vision_model(images()), encoder.features(images())
    assert features.pooled is not None
    assert_close(features.pooled, said.pooler_output)


@pytest.mark.parametrize("to", FORMATS)
def test_tensors_that_do_not_fit_are_listed_with_whose_names_they_are(to: Format, tmp_path: Path) -> None:
    folder = exported(tmp_path / "out", to)
    first, *others = sorted(load_file(folder / MODEL_FILE))
    shape = [*load_file(folder / MODEL_FILE)[others[0]].shape]
    change_tensors(folder, remove=first, **{others[0].replace(".", "__"): torch.zeros(5), "extra": torch.zeros(1)})
    whose = {"apple": "Apple's code"}.get(to, to)
    found = " x ".join(map(str, shape))
    message = (
        rf"1 missing \({re.escape(first)}\); 1 unexpected \(extra\); "
        rf"1 of another shape \({re.escape(others[0])}: 5, not {found}\)\. Its names are those of {whose}"
    )
    with pytest.raises(ValueError, match=message):
        load_encoder(folder)


def test_a_promised_head_that_is_missing_is_no_random_head(tmp_path: Path) -> None:
    folder = exported(tmp_path / "out")
    change_config(folder, use_head=True)
    with pytest.raises(ValueError, match=r"5 missing \(head\.cls_token, head\.k_proj\.weight, .*, …\)"):
        load_encoder(folder)
    change_config(folder, use_head=None)  # true by default in transformers, which would draw one
    assert load_encoder(folder).head is None


def test_a_table_of_another_resolution_is_refused_and_resized_when_asked(tmp_path: Path) -> None:
    folder = exported(tmp_path / "out")
    with pytest.raises(ValueError, match=r"84 x 84 do not fit this encoder's position table for 56 x 56; .*image_size"):
        load_encoder(folder)(images(height=84, width=84))
    encoder = load_encoder(folder, image_size=84)
    assert encoder(images(height=84, width=84)).shape == (2, 36, 64)
    assert encoder.recipe.image_size == 84 and encoder.positions is not None
    before = wide_encoder().positions
    assert before is not None
    assert torch.equal(encoder.positions, resized_positions(before.detach(), 6))
    preprocessing = load_preprocessing(folder, image_size=84)
    assert (preprocessing.shortest_side, preprocessing.crop) == (96, 84)
    change_config(folder, image_size=84)
    with pytest.raises(ValueError, match=r"position_embedding\.weight: 16 x 64, not 36 x 64"):
        load_encoder(folder)


def test_our_own_folders_say_what_is_wrong_and_may_be_resized(tmp_path: Path) -> None:
    model = AIMv2(RECIPE)
    save_model(tmp_path, model.half())
    encoder = load_encoder(tmp_path, image_size=8)
    assert encoder.norm.weight.dtype == torch.float32
    assert encoder(images(height=8, width=8)).shape == (2, 16, 16)
    assert load_encoder(tmp_path / MODEL_FILE).recipe == RECIPE.encoder
    expected = Preprocessing(RECIPE.data.mean, RECIPE.data.std, 6, 6)
    assert load_preprocessing(tmp_path) == expected and load_preprocessing(tmp_path, image_size=8) == expected.at(8)
    change_tensors(tmp_path, remove="encoder.norm.weight")
    with pytest.raises(ValueError, match=r"1 missing \(encoder\.norm\.weight\).*names are ours"):
        load_encoder(tmp_path)
    (tmp_path / "recipe.json").unlink()
    with pytest.raises(ValueError, match=r"has our own names: .*recipe\.json"):
        load_encoder(tmp_path)


def test_our_native_encoders_see_pictures_in_as_many_patches_as_they_were_trained_on(tmp_path: Path) -> None:
    save_model(tmp_path, AIMv2(OWN_NATIVE))
    seen = load_preprocessing(tmp_path)
    assert seen(Image.new("RGB", (17, 44))).shape == (3, 48, 16)
    assert seen(Image.new("RGB", (600, 600))).shape == (3, 40, 40)  # at most 32 patches


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "aim.pth"])
def test_pickles_are_refused_with_the_remedy_and_not_opened(name: str, tmp_path: Path) -> None:
    torch.save(wide_encoder().state_dict(), tmp_path / name)
    for place in (tmp_path, tmp_path / name):
        with pytest.raises(ValueError, match=r"is a pickle, which can run code .*safetensors\.torch\.save_file\(torch"):
            load_encoder(place)


def test_aim_v1_is_refused_by_name(tmp_path: Path) -> None:
    model = AIMv1(recipe("aim-tiny"))
    with pytest.raises(ValueError, match="timm has no model for AIM v1's trunk"):
        export_encoder(model.encoder, CROPPED, "timm", tmp_path / "out")
    save_file({"trunk.blocks.0.norm_1.bias": torch.zeros(1)}, tmp_path / "aim.safetensors")
    with pytest.raises(ValueError, match="holds AIM v1's trunk"):
        load_encoder(tmp_path / "aim.safetensors")
    save_model(tmp_path, model)
    assert_same_weights(load_encoder(tmp_path), model.encoder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "vit"}, "model_type = 'vit' describes no AIMv2 encoder"),
        ({"qkv_bias": True}, "qkv_bias = True; AIMv2 has False"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'; AIMv2 has 'silu'"),
        ({"image_size": [56, 84]}, r"image_size = \[56, 84\]; it must be a whole number"),
        ({"architecture": "vit_base_patch16_224"}, "is none of timm's AIMv2 encoders"),
        ({"is_native": True}, r"1 unexpected \(embeddings\.position_embedding\.weight\)"),
    ],
)
def test_other_models_are_refused_by_the_field(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = exported(tmp_path / "out")
    change_config(folder, **fields)
    with pytest.raises(ValueError, match=message):
        load_encoder(folder)


def test_tensors_of_no_known_name_are_shown(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(1), "fc.weight": torch.zeros(1)}, tmp_path / "resnet.safetensors")
    with pytest.raises(ValueError, match=r"none of its 2 tensors \(conv1\.weight, fc\.weight\)"):
        load_encoder(tmp_path / "resnet.safetensors")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"resample": 2}, "resample = 2; only 3 is read"),
        ({"do_normalize": False}, "do_normalize = False"),
        ({"size": {"height": 64, "width": 64}}, "shortest_edge"),
        ({"crop_size": {"height": 56, "width": 28}}, "height and width"),
        ({"crop_size": 96}, "crop = 96 is larger than shortest_side = 64"),
    ],
)
def test_processor_settings_that_are_not_ours_are_refused(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = exported(tmp_path / "out") / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))
    with pytest.raises(ValueError, match=message):
        load_preprocessing(tmp_path / "out")


def test_a_processor_that_says_nothing_is_clips(tmp_path: Path) -> None:
    (exported(tmp_path / "out") / "preprocessor_config.json").write_text("{}")
    assert load_preprocessing(tmp_path / "out") == Preprocessing(CLIP_MEAN, CLIP_STD, 224, 224, 14)


@pytest.mark.parametrize("to", ["transformers", "timm", "apple"])
def test_folders_in_use_are_left_alone_and_failures_leave_nothing(to: Format, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(FileExistsError, match="not empty"):
        exported(tmp_path, to)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    exported(tmp_path / "empty", to)
    with pytest.raises(OSError, match=r"Not a directory|could not write"):
        exported(tmp_path / "mine/below", to)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "mine"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(export, "save_file", full)
    with pytest.raises(OSError, match=r"could not write .*No space left"):
        exported(tmp_path / "out")
    assert not [*tmp_path.iterdir()]


def test_what_timm_has_no_place_for_is_refused_by_name() -> None:
    for encoder, preprocessing, what in (
        (wide_encoder(NATIVE), CROPPED, "sine-cosine"),
        (wide_encoder(head=True), CROPPED, "the pooling head"),
        (wide_encoder(), AS_IT_IS, "not resized and cropped"),
    ):
        with pytest.raises(ValueError, match=f"timm's AIMv2 has no place for .*{what}"):
            timm_files(encoder, preprocessing)


@pytest.mark.parametrize("size", ["large", "huge", "1b", "3b"])
@pytest.mark.parametrize("side", [224, 336, 448])
def test_released_sizes_have_their_own_names_in_timm(size: str, side: int) -> None:
    with torch.device("meta"):
        encoder = VisionEncoder(recipe(f"aimv2-{size}-{side}"))
    (config,) = timm_files(encoder, CROPPED).values()
    assert config["architecture"] == f"aimv2_{size}_patch14_{side}" and "model_args" not in config
    assert timm_recipe(config, "here") == encoder.recipe


def test_every_width_and_crop_survives_timms_ratios() -> None:
    for width in range(4, 2000, 4):
        sizes = EncoderRecipe(image_size=56, width=width, depth=1, heads=2, hidden=width * 8 // 3 + 1)
        with torch.device("meta"):
            (config,) = timm_files(VisionEncoder(sizes), Preprocessing(CLIP_MEAN, CLIP_STD, 56 + width, 56)).values()
        assert timm_recipe(config, "here") == sizes
        assert timm_preprocessing(config, "here").shortest_side == 56 + width


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embed_dim": 64}, "embed_dim without mlp_ratio"),
        ({"class_token": True}, r"model_args \{'class_token': True\} are not read"),
        ({"img_size": [56, 84]}, "img_size = "),
    ],
)
def test_timm_arguments_that_are_not_ours_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        timm_recipe({"architecture": "aimv2_large_patch14_224", "model_args": arguments}, "here")


def test_timm_filters_that_are_not_ours_are_refused() -> None:
    with pytest.raises(ValueError, match="interpolation = 'bilinear'"):
        timm_preprocessing({"pretrained_cfg": {"interpolation": "bilinear"}}, "here")
    with pytest.raises(ValueError, match="has no input_size, mean, std"):
        timm_preprocessing({"architecture": "aimv2_large_patch14_224"}, "here")
