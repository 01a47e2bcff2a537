"""The recipes: the papers' numbers, and changing, writing, reading and comparing recipes."""

from __future__ import annotations

import json
import re
from dataclasses import FrozenInstanceError, asdict, replace

import pytest
import torch

import aimv2_lab
from aimv2_lab.model.models import model_of
from aimv2_lab.recipes import (
    PRESETS,
    RIVALS,
    AIMv1Recipe,
    AnyRecipe,
    MaskedImageRecipe,
    ObjectiveRecipe,
    Recipe,
    Rival,
    any_recipe_from_json,
    differences,
    recipe,
    rival,
)

# Width, depth, heads, SwiGLU hidden width and peak learning rate. Widths, depths and rates are those of the AIMv2
# paper's Tables 1 and A1, the rest is the released code's; base is in the released code only.
SIZES = {
    "base": (768, 12, 6, 2048, 1e-3),
    "large": (1024, 24, 8, 2816, 1e-3),
    "huge": (1536, 24, 12, 4096, 8e-4),
    "1b": (2048, 24, 16, 5632, 8e-4),
    "3b": (3072, 24, 24, 8192, 4e-4),
}
PATCHES = {224: 256, 336: 576, 448: 1024}
PUBLISHED = [f"aimv2-{size}-{pixels}" for size in SIZES for pixels in PATCHES]
# AIM v1: width, depth, heads, steps; its paper's Table 1, heads from the released code.
AIMV1 = {
    "aim-600m": (1536, 24, 12, 500_000),
    "aim-1b": (2048, 24, 16, 1_200_000),
    "aim-3b": (3072, 24, 24, 1_200_000),
    "aim-7b": (4096, 32, 32, 1_200_000),
}


def test_the_presets_are_four_small_ones_and_every_published_size_and_resolution() -> None:
    small = ["tiny", "tiny-96", "tiny-native", "small", "aim-tiny"]
    assert sorted(PRESETS) == sorted([*small, *PUBLISHED, "aimv2-large-native", *AIMV1])
    assert all(preset.name == name for name, preset in PRESETS.items())
    assert aimv2_lab.recipe("tiny") is recipe("tiny")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_encoders_and_their_one_decoder(name: str) -> None:
    _, size, pixels = name.split("-")
    preset = recipe(name)
    encoder, decoder = preset.encoder, preset.decoder
    sizes = (encoder.width, encoder.depth, encoder.heads, encoder.hidden, preset.training.peak_lr)
    assert sizes == SIZES[size]
    assert encoder.width // encoder.heads == 128
    assert (encoder.image_size, encoder.patch_size, encoder.positions) == (int(pixels), 14, "learned")
    assert (encoder.patches, encoder.grid_size**2, encoder.patch_values) == (PATCHES[int(pixels)],) * 2 + (588,)
    assert (decoder.width, decoder.depth, decoder.heads, decoder.hidden) == (1024, 12, 8, 2816)
    assert (decoder.vocabulary, decoder.text_tokens) == (32_000, 77)
    assert encoder.norm_eps == decoder.norm_eps == 1e-5
    assert (preset.objective.pixel_weight, preset.objective.encoder_attention) == (0.4, "prefix")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_training(name: str) -> None:
    training, data = recipe(name).training, recipe(name).data
    steps = 1_500_000 if name.endswith("224") else 244_141  # 2 billion pairs when adapting to a higher resolution
    assert (training.steps, training.batch_size, training.warmup_steps) == (steps, 8192, 12_500)
    assert (training.min_lr, training.warmup_start_lr, training.betas) == (1e-5, 1e-6, (0.9, 0.95))
    assert training.weight_decay == (1e-4 if name.endswith("224") else 0)  # 0 when adapting to a higher resolution
    assert (training.optimizer, training.decay) == ("adamw", "decoupled")
    assert (training.adam_eps, training.gradient_clip, training.precision) == (1e-8, 1.0, "bfloat16")
    assert (data.crop_scale, data.crop_ratio, data.flip_probability) == ((0.4, 1.0), (0.75, 1.33), 0.5)
    assert data.mean == (0.48145466, 0.4578275, 0.40821073)
    assert data.std == (0.26862954, 0.26130258, 0.27577711)
    assert data.tokenizer == "google/siglip-base-patch16-224"


def test_the_native_one_is_the_large_one_with_areas_and_without_a_table() -> None:
    native, large = recipe("aimv2-large-native"), recipe("aimv2-large-224")
    assert set(differences(large, native)) == {"name", "encoder.positions", "resolution.batching"}
    assert (native.encoder.positions, native.resolution.batching) == ("sincos", "padded")
    assert native.resolution.area_exponents == (7.0, 12.0) and native.resolution.padding == "masked"
    with torch.device("meta"):
        encoder = model_of(native).encoder
    assert sum(weight.numel() for weight in encoder.parameters()) == 308_935_680  # the released checkpoint's


@pytest.mark.parametrize("name", AIMV1)
def test_the_published_aim_v1(name: str) -> None:
    preset: AnyRecipe = recipe(name)
    assert isinstance(preset, AIMv1Recipe)
    encoder, training, data = preset.encoder, preset.training, preset.data
    assert (encoder.width, encoder.depth, encoder.heads, training.steps) == AIMV1[name]
    assert encoder.width // encoder.heads == 128
    assert (encoder.hidden, encoder.norm_eps, encoder.patches, encoder.patch_values) == (
        4 * encoder.width,
        1e-6,
        256,
        588,
    )
    assert (preset.head.width, preset.head.depth, preset.head.norm_eps) == (2048, 12, 1e-5)
    assert preset.objective == ObjectiveRecipe(pixel_weight=1.0, encoder_attention="prefix", target="standardised")
    assert (training.batch_size, training.peak_lr, training.min_lr, training.warmup_steps) == (4096, 1e-3, 0, 31_250)
    assert (training.weight_decay, training.decay) == (0.05, "ordinary")
    assert (data.mean, data.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (data.crop_scale, data.crop_ratio, data.flip_probability) == ((0.4, 1.0), (0.75, 1.33), 0.5)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_and_its_parts_fit_together(name: str) -> None:
    preset = PRESETS[name]
    size, tokens = preset.encoder.image_size, preset.text_tokens
    with torch.device("meta"):
        model = model_of(preset)
        pixels, logits = model(torch.empty(2, 3, size, size), torch.empty(2, tokens, dtype=torch.long))
    assert pixels.shape == (2, preset.encoder.patches, preset.encoder.patch_values)
    assert logits.shape == (2, tokens, preset.decoder.vocabulary if isinstance(preset, Recipe) else 1)


def test_aim_v1_without_a_mask_is_refused_because_nothing_would_be_learned() -> None:
    with pytest.raises(ValueError, match="leaves AIM v1 nothing to learn from"):
        recipe("aim-tiny", {"objective.encoder_attention": "bidirectional"})


def test_a_tokenizer_belongs_to_a_recipe_that_reads_captions() -> None:
    with pytest.raises(ValueError, match=r"data\.tokenizer = 'world': AIM v1 reads no captions"):
        recipe("aim-tiny", {"data.tokenizer": "world"})
    with pytest.raises(ValueError, match=r"data\.tokenizer is empty: captions need one"):
        recipe("tiny", {"data.tokenizer": ""})


def test_half_of_the_objective_is_asked_for_whole() -> None:
    """Pictures alone read no captions; captions alone have no pixel loss; CapPa learns captions alone."""
    silent = {"decoder.text_tokens": 0, "data.tokenizer": ""}
    assert recipe("tiny", silent).text_tokens == 0
    with pytest.raises(
        ValueError, match=r"data\.tokenizer = 'world': a decoder with text_tokens = 0 reads no captions"
    ):
        recipe("tiny", {"decoder.text_tokens": 0})
    for blind in ({"objective.encoder_attention": "bidirectional"}, {"objective.pixel_weight": 0.0}):
        with pytest.raises(ValueError, match="nothing to learn from"):
            recipe("tiny", silent | blind)
    with pytest.raises(ValueError, match=r"objective\.pixel_weight = 0\.4 with objective\.target = 'none'"):
        recipe("tiny", {"objective.target": "none"})
    with pytest.raises(ValueError, match=r"objective\.parallel_share = 0\.5 is for runs that learn captions alone"):
        recipe("tiny", {"objective.parallel_share": 0.5})
    with pytest.raises(ValueError, match=r"objective\.parallel_share = 1\.5"):
        recipe("tiny", {"objective.parallel_share": 1.5, "objective.target": "none", "objective.pixel_weight": 0.0})


@pytest.mark.parametrize("preset", ["tiny", "aimv2-large-224"])
@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_has_the_encoder_the_data_and_the_training_of_the_recipe(name: Rival, preset: str) -> None:
    known = recipe(preset)
    found = rival(name, known)
    assert found.name == f"{preset}-{name}"
    assert (found.encoder, found.training, found.engine) == (known.encoder, known.training, known.engine)
    assert found.data == (known.data if found.text_tokens else replace(known.data, tokenizer=""))
    assert any_recipe_from_json(found.to_json()) == found
    objective = found.objective
    assert (objective.pixel_weight > 0, found.text_tokens > 0) == {
        "image-only": (True, False),
        "masked-image": (True, False),
    }.get(name, (False, True))
    prefix = name in ("image-only", "caption-only")
    assert objective.encoder_attention == ("prefix" if prefix else "bidirectional")
    assert objective.parallel_share == (0.75 if name == "cappa" else 0)


def test_a_masked_autoencoder_of_a_vit_large_has_maes_decoder_and_hides_what_it_does() -> None:
    found = rival("masked-image", recipe("aimv2-large-224"))
    assert isinstance(found, MaskedImageRecipe)
    assert (found.decoder.width, found.decoder.depth, found.hidden_patches) == (512, 8, 192)  # of 256
    for share in (0.0, 0.001, 1.0):
        with pytest.raises(ValueError, match="at least one must be hidden, and one seen"):
            found.change({"hidden_share": share})
    with pytest.raises(ValueError, match="masked image modelling reads no captions"):
        found.change({"data.tokenizer": "world"})


def test_an_unknown_rival_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(KeyError, match="unknown rival 'caption'; did you mean caption-only"):
        rival("caption", recipe("tiny"))  # type: ignore[arg-type]


def test_adapting_tiny_is_to_tiny_what_the_papers_adaptation_is_to_its_models() -> None:
    """Another picture size, no decay, fewer steps: the same model."""
    for small, large in (("tiny", "tiny-96"), ("aimv2-large-224", "aimv2-large-448")):
        before, after = recipe(small), recipe(large)
        changed = differences(before, after)
        assert {"encoder.image_size", "training.weight_decay", "training.steps"} <= changed.keys()
        assert after.training.weight_decay == 0 and after.training.steps < before.training.steps
        assert not [path for path in changed if path.startswith(("decoder.", "objective."))]
        assert [path for path in changed if path.startswith("encoder.")] == ["encoder.image_size"]


def test_the_tiny_world_is_neither_cropped_nor_flipped() -> None:
    """Its captions say where things are."""
    data = recipe("tiny").data
    assert (data.crop_scale, data.crop_ratio, data.flip_probability) == ((1.0, 1.0), (1.0, 1.0), 0.0)


# Reading and writing


@pytest.mark.parametrize("name", PRESETS)
def test_json_gives_the_same_recipe_back(name: str) -> None:
    changed = PRESETS[name].change({"training.betas": (0.8, 0.99), "data.workers": 3, "training.peak_lr": 1 / 3})
    for read in (any_recipe_from_json, type(changed).from_json):
        assert read(changed.to_json()) == changed
        assert hash(read(changed.to_json())) == hash(changed)  # tuples again, not lists


def test_json_holds_every_field_by_name() -> None:
    written = json.loads(recipe("tiny").to_json())
    assert written["encoder"]["patch_size"] == 12
    assert written == json.loads(json.dumps(asdict(recipe("tiny"))))


def test_json_with_an_unknown_field_is_refused_with_the_nearest_names() -> None:
    written = json.loads(recipe("tiny").to_json())
    written["training"]["batchsize"] = written["training"].pop("batch_size")
    with pytest.raises(KeyError, match=r"unknown recipe field 'training.batchsize'; did you mean training.batch_size"):
        Recipe.from_json(json.dumps(written))


# Changing


def test_changes_reach_the_named_fields_and_no_others() -> None:
    before = recipe("tiny")
    changed = before.change({"training.steps": 7, "encoder.positions": "learned"})
    assert (changed.training.steps, changed.encoder.positions) == (7, "learned")
    assert differences(before, changed) == {
        "training.steps": (before.training.steps, 7),
        "encoder.positions": ("sincos", "learned"),
    }
    assert before == recipe("tiny") == recipe("tiny", {})


def test_differences_lists_every_field_that_differs_and_nothing_else() -> None:
    large, high = recipe("aimv2-large-224"), recipe("aimv2-large-448")
    assert differences(large, large) == {}
    assert differences(large, high) == {
        "name": ("aimv2-large-224", "aimv2-large-448"),
        "encoder.image_size": (224, 448),
        "data.mixture": (asdict(large)["data"]["mixture"], asdict(high)["data"]["mixture"]),
        "training.steps": (1_500_000, 244_141),
        "training.weight_decay": (1e-4, 0.0),
    }


def test_differences_between_the_two_kinds_name_what_only_one_has() -> None:
    found = differences(recipe("tiny"), recipe("aim-tiny"))
    assert found["decoder.depth"] == (4, None)
    assert found["head.depth"] == (None, recipe("aim-tiny").head.depth)
    assert found["objective.pixel_weight"] == (0.4, 1.0)


def test_a_recipe_written_before_a_field_existed_reads_its_default() -> None:
    written = json.loads(recipe("tiny").to_json())
    del written["objective"]["target"]
    assert Recipe.from_json(json.dumps(written)) == recipe("tiny")


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        recipe("tiny").training.steps = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("tinny", "^unknown recipe 'tinny'; did you mean tiny"),
        ("aimv2-large-225", "'aimv2-large-225'; did you mean aimv2-large-224"),
        ("aimv2-1B-224", "did you mean aimv2-1b-224"),
        ("???", "did you mean aim-1b, .*, small, tiny"),
    ],
)
def test_an_unknown_recipe_is_refused_with_the_nearest_names(wrong: str, named: str) -> None:
    with pytest.raises(KeyError, match=named):
        recipe(wrong)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("training.step", "^unknown recipe field 'training.step'; did you mean training.steps"),
        ("encoder.widht", "did you mean encoder.width"),
        ("pixel_weight", "did you mean objective.pixel_weight"),
        ("training", "unknown recipe field 'training'"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_names(wrong: str, named: str) -> None:
    with pytest.raises(KeyError, match=named):
        recipe("tiny", {wrong: 1})


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("encoder.image_size", 50, "encoder.image_size = 50 .* encoder.patch_size = 12; .* 48 and 60"),
        ("encoder.image_size", 0, "encoder.image_size = 0 .* 12 and 24"),
        ("encoder.heads", 3, "encoder.width = 128 .* encoder.heads = 3; .* 126 and 129"),
        ("decoder.heads", 5, "decoder.width = 128 .* decoder.heads = 5"),
        ("training.micro_batch_size", 5, "training.batch_size = 32 .* training.micro_batch_size = 5; .* 30 and 35"),
        ("training.micro_batch_size", 0, "training.micro_batch_size = 0"),
        ("training.steps", 0, "training.steps = 0; it must be at least 1"),
        ("training.log_every", 0, "training.log_every = 0; it must be at least 1"),
        ("training.peak_lr", 0.0, "training.peak_lr = 0.0; it must be at least"),
        ("training.seed", -1, "training.seed = -1; it must be at least 0"),
        ("encoder.depth", -1, "encoder.depth = -1; it must be at least 1"),
        ("decoder.text_tokens", 1, "decoder.text_tokens = 1; it must be at least 2"),
        ("head.depth", -1, "head.depth = -1; it must be at least 0"),
        ("head.width", 30, "head.width = 30 is not a multiple of .* 4; nearest: 28 and 32"),
        ("data.crop_scale", (2.0, 3.0), r"data.crop_scale = \(2.0, 3.0\); it must be \(lower, upper\)"),
        ("data.crop_ratio", (0.0, 1.0), r"data.crop_ratio = \(0.0, 1.0\)"),
        ("data.std", (0.0, 1.0, 1.0), "data.std = 0.0"),
        ("data.flip_probability", 1.5, r"data.flip_probability = 1.5; it must be in 0.0 … 1.0"),
    ],
)
def test_values_that_do_not_fit_together_are_named(path: str, value: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        PRESETS["aim-tiny" if path.startswith("head.") else "tiny"].change({path: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder.positions": "sincoss"}, "encoder.positions = 'sincoss'; it must be one of learned, sincos"),
        ({"objective.encoder_attention": "prefx"}, "must be one of prefix, causal, bidirectional"),
        ({"training.steps": "100"}, "training.steps = '100'; it must be of type int"),
        ({"data.mean": (0.5, 0.5)}, "data.mean = "),
        ({"encoder": 3}, "unknown recipe field 'encoder'"),
    ],
)
def test_values_of_the_wrong_kind_are_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises((ValueError, KeyError), match=re.escape(message)):
        recipe("tiny", changes)


def test_whole_numbers_serve_as_floats() -> None:
    assert recipe("tiny", {"training.gradient_clip": 1}).training.gradient_clip == 1.0


def test_a_recipe_with_a_part_missing_is_refused_by_name() -> None:
    stored = json.loads(recipe("tiny").to_json())
    del stored["encoder"]["width"]
    with pytest.raises(ValueError, match=r"missing recipe field: encoder\.width"):
        Recipe.from_json(json.dumps(stored))
