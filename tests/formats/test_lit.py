"""The released LiT layout: there and back, equal to transformers where that is causal, and where it is not."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.formats.export import LitFormat, export_encoder, export_towers
from aimv2_lab.formats.load import load_encoder, load_towers, towers_tokenizer
from aimv2_lab.launch.export import run_export
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.two_towers import TwoTowers
from aimv2_lab.recipes import TextTowerRecipe
from aimv2_lab.recipes.data import CLIP_MEAN, CLIP_STD
from aimv2_lab.training.loop import pretrain
from tests.formats.encoders import assert_close, photograph
from tests.training.contrastive_toy import paired
from tests.training.finetune_toy import TUNING

SEEN = Preprocessing(CLIP_MEAN, CLIP_STD, 24, 24)
TOKENIZER = load_tokenizer("world")
TEXTS = ["a red circle.", "we see a large hollow square and a small thing.", "a dot."]


@pytest.fixture(scope="module")
def towers() -> TwoTowers:
    """Wide weights: with those of the initialisation, swapped norms would not be seen."""
    found = TwoTowers(paired(encoder__positions="learned", text__depth=2))
    draw_wide_weights(found, torch.Generator().manual_seed(3))
    found.bias.data.zero_()  # the softmax loss has none
    return found.eval()


@pytest.fixture(scope="module")
def folder(towers: TwoTowers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lit") / "out"
    export_towers(towers, TOKENIZER, SEEN, "transformers", folder)
    return folder


def test_transformers_reads_every_tensor_and_says_the_same(towers: TwoTowers, folder: Path) -> None:
    theirs, told = AutoModel.from_pretrained(folder, attn_implementation="eager", output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"]
    image = photograph()
    pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(image, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(SEEN(image)[None], pixels, rtol=0, atol=1e-6)
    texts = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    tokens, counted = TOKENIZER.encode(TEXTS, 40)
    assert torch.equal(texts["input_ids"], tokens)
    with torch.no_grad():
        said = theirs.eval()(tokens, pixels, texts["attention_mask"])
        mine = towers(SEEN(image)[None], tokens, counted.sum(dim=1) - 1)
    assert_close(mine.images, said.image_embeds)
    assert_close(mine.texts, said.text_embeds)
    assert_close(mine.scale * mine.images @ mine.texts.T, said.logits_per_image)


def test_the_trap_without_a_mask_transformers_text_tower_is_not_causal(towers: TwoTowers, folder: Path) -> None:
    theirs = AutoModel.from_pretrained(folder).eval()  # as a user would: the default attention
    tokens, counted = TOKENIZER.encode(TEXTS[:1], 40)
    with torch.no_grad():
        mine = towers.embed_texts(tokens, counted.sum(dim=1) - 1)
        for mask in (None, torch.ones_like(tokens)):
            said = theirs.get_text_features(tokens, attention_mask=mask).pooler_output
            assert (torch.nn.functional.normalize(said, dim=-1) - mine).abs().max() > 0.01


@pytest.mark.parametrize("to", ["transformers", "apple"])
def test_there_and_back_is_the_identity(towers: TwoTowers, to: LitFormat, tmp_path: Path) -> None:
    export_towers(towers, TOKENIZER, SEEN, to, tmp_path / "out")
    again = load_towers(tmp_path / "out")
    assert {name: (x.shape, x.sum().item()) for name, x in again.state_dict().items()} == {
        name: (x.shape, x.sum().item()) for name, x in towers.state_dict().items()
    }
    assert again.recipe.text == towers.recipe.text and again.recipe.encoder == towers.recipe.encoder
    with pytest.warns(UserWarning, match="the image encoder alone is read"):
        encoder = load_encoder(tmp_path / "out")
    images = torch.randn(2, 3, 24, 24)
    expected = towers.encoder.features(images).pooled
    found = encoder.features(images).pooled
    assert expected is not None and found is not None and torch.equal(found, expected)


def test_the_released_names_and_scalars(folder: Path, tmp_path: Path, towers: TwoTowers) -> None:
    """Source: the layout of apple/aimv2-large-patch14-224-lit, by the code that reads it."""
    theirs = load_file(folder / "model.safetensors")
    assert theirs["logit_scale"].shape == () and "bias" not in theirs
    assert json.loads((folder / "config.json").read_text())["projection_dim"] == 16  # 512 is transformers' default
    export_towers(towers, TOKENIZER, SEEN, "apple", tmp_path / "apple")
    names = load_file(tmp_path / "apple/model.safetensors")
    for name in ("log_logit_scale", "image_projector.weight", "text_encoder.preprocessor.text_embedding.weight"):
        assert name in names
    with torch.device("meta"):
        large = TwoTowers(paired(text__width=768, text__heads=6, text__hidden=2048, text__depth=12))
    assert large.recipe.text == TextTowerRecipe(vocabulary=256, text_tokens=40)


def test_what_the_layout_lacks_or_a_file_lacks_is_named(towers: TwoTowers, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no place for the bias of the sigmoid loss"):
        export_towers(TwoTowers(paired(loss="sigmoid")), TOKENIZER, SEEN, "transformers", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    tensors = load_file(folder / "model.safetensors")
    del tensors["text_projection.weight"]
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/config.json").write_text((folder / "config.json").read_text())
    save_file(tensors, tmp_path / "broken/model.safetensors")
    with pytest.raises(ValueError, match=r"1 missing \(text_projection\.weight\)"):
        load_towers(tmp_path / "broken")


def test_a_run_is_exported_with_its_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = paired(encoder__positions="learned").change({**TUNING, "data.tokenizer": "world"})
    pretrain(recipe, tmp_path / "run")
    run_export(["--to", "transformers", "--towers", str(tmp_path / "run"), str(tmp_path / "out")])
    assert "attn_implementation='eager'" in capsys.readouterr().out
    assert torch.equal(towers_tokenizer(tmp_path / "run").encode(TEXTS, 40)[0], TOKENIZER.encode(TEXTS, 40)[0])
    ours, again = load_towers(tmp_path / "run"), load_towers(tmp_path / "out")
    tokens, counted = towers_tokenizer(tmp_path / "out").encode(TEXTS, 40)
    ends = counted.sum(dim=1) - 1
    assert torch.equal(ours.embed_texts(tokens, ends), again.embed_texts(tokens, ends))


def test_apples_names_are_no_model_of_transformers(towers: TwoTowers, tmp_path: Path) -> None:
    """With a model_type it would read the directory as a model of random weights, without an error."""
    export_towers(towers, TOKENIZER, SEEN, "apple", tmp_path / "out")
    with pytest.raises(ValueError, match="model_type"):
        AutoModel.from_pretrained(tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert not any("model_type" in part for part in (config, config["vision_config"], config["text_config"]))


def test_a_begin_token_that_is_the_end_token_is_left_out(towers: TwoTowers, tmp_path: Path) -> None:
    """As GPT-2's: transformers would read every text at its first end token, the begin."""
    known = replace(TOKENIZER, tokenizer=copy.deepcopy(TOKENIZER.tokenizer))
    known.tokenizer.bos_token = known.tokenizer.eos_token
    assert known.with_begin().begin_id is None
    known.tokenizer.bos_token = "<unk>"
    begun = known.with_begin()
    tokens, _ = begun.encode(TEXTS, 40)
    assert begun.begin_id is not None and (tokens[:, 0] == begun.begin_id).all() and begun.decode(tokens[2]) == "a dot."
    export_towers(towers, begun, SEEN, "transformers", tmp_path / "out")
    assert torch.equal(
        AutoTokenizer.from_pretrained(tmp_path / "out")(TEXTS, padding=True, return_tensors="pt")["input_ids"], tokens
    )


def test_tokenizers_that_files_cannot_say_are_refused(towers: TwoTowers, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be written so that transformers"):
        export_towers(towers, replace(TOKENIZER, cleans=True), SEEN, "transformers", tmp_path / "out")
    unpadded = replace(TOKENIZER, tokenizer=copy.deepcopy(TOKENIZER.tokenizer), pad_id=TOKENIZER.end_id)
    unpadded.tokenizer.pad_token = None
    export_towers(towers, unpadded, SEEN, "transformers", tmp_path / "padded")
    assert AutoTokenizer.from_pretrained(tmp_path / "padded").pad_token == "</s>"


def test_the_head_stays_away_where_timm_has_no_place_for_it(folder: Path, tmp_path: Path) -> None:
    command = ["--to", "timm", str(folder), str(tmp_path / "out")]
    with pytest.raises(ValueError, match="head"), pytest.warns(UserWarning, match="image encoder alone"):
        run_export(command)
    with pytest.warns(UserWarning, match="image encoder alone"):
        run_export([*command, "--no-head"])
    assert load_encoder(tmp_path / "out").head is None


def test_other_towers_are_refused_by_name(towers: TwoTowers, folder: Path, tmp_path: Path) -> None:
    export_encoder(towers.encoder, SEEN, "transformers", tmp_path / "image")
    with pytest.raises(ValueError, match="holds no text tower"):
        load_towers(tmp_path / "image")
    shutil.copytree(folder, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_act"] = "gelu"
    (tmp_path / "other/config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="text_config: hidden_act = 'gelu'"):
        load_towers(tmp_path / "other")
