"""Directories that timm loads, and reads as ours; `make test-timm` sets timm up beside the environment for them."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aimv2_lab.formats.export import export_encoder
from aimv2_lab.formats.folder import MODEL_FILE, save_model
from aimv2_lab.formats.load import load_encoder, load_preprocessing
from aimv2_lab.formats.names import TIMM, to_theirs
from aimv2_lab.launch.export import run_export
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import recipe
from tests.formats.encoders import (
    CROPPED,
    RELEASED_RULE,
    assert_close,
    assert_same_weights,
    images,
    photograph,
    wide_encoder,
)
from tests.formats.timm_beside import import_torchvision
from tests.pages import fenced
from tests.test_readme import README, ROOT, commands

pytestmark = pytest.mark.timm
EVEN = photograph(150, 97)  # at 64 the margins are 42 and 8; torchvision rounds the half of an odd one otherwise


@pytest.fixture(scope="module")
def timm() -> Any:
    """The library; not imported where these tests are only collected."""
    import_torchvision()
    import timm

    return timm


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    export_encoder(wide_encoder(), CROPPED, "timm", tmp_path / "out")
    return tmp_path / "out"


def their_view(timm: Any, model: Any) -> Tensor:
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    return transform(EVEN)[None]


@torch.no_grad()
def test_a_photograph_gives_the_same_through_timm_and_through_ours(folder: Path, timm: Any) -> None:
    model, encoder = timm.create_model(f"local-dir:{folder}", pretrained=True).eval(), wide_encoder()
    theirs, ours = model.state_dict(), to_theirs(encoder.state_dict(), TIMM)
    assert theirs.keys() == ours.keys() and all(torch.equal(theirs[name], ours[name]) for name in ours)
    view = their_view(timm, model)
    assert_close(CROPPED(EVEN)[None], view)
    features = encoder.features(CROPPED(EVEN)[None])
    assert_close(features.dense.flatten(1, 2), model.forward_features(view))
    assert_close(features.mean, model(view))


def test_what_timm_saves_comes_back_whole(folder: Path, timm: Any, tmp_path: Path) -> None:
    model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    arguments = {"embed_dim": 64, "depth": 3, "num_heads": 4, "img_size": 56, "patch_size": 14, "mlp_ratio": 2.75}
    timm.models.save_for_hf(model, tmp_path / "theirs", safe_serialization=True, model_args=arguments)
    assert (tmp_path / "theirs" / MODEL_FILE).exists()
    assert_same_weights(load_encoder(tmp_path / "theirs"), wide_encoder())
    again = load_preprocessing(tmp_path / "theirs")
    assert torch.equal(again(EVEN), CROPPED(EVEN))


@torch.no_grad()
@pytest.mark.parametrize("size", [28, 84, 112])
def test_a_table_is_resized_as_timm_resizes_it(size: int, folder: Path, timm: Any) -> None:
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True, img_size=size).eval()
    encoder = load_encoder(folder, image_size=size)
    assert encoder.positions is not None
    assert_close(encoder.positions, theirs.pos_embed[0])
    assert_close(encoder(images(height=size, width=size)), theirs.forward_features(images(height=size, width=size)))


@torch.no_grad()
def test_timm_reads_apples_names(timm: Any, tmp_path: Path) -> None:
    encoder = wide_encoder(RELEASED_RULE)
    export_encoder(encoder, CROPPED, "apple", tmp_path / "out")
    file = {"file": str(tmp_path / "out" / MODEL_FILE), "num_classes": 0}
    sizes = {"embed_dim": 128, "depth": 3, "num_heads": 1, "img_size": 56, "mlp_ratio": 4}
    model = timm.create_model("aimv2_large_patch14_224", pretrained=True, pretrained_cfg_overlay=file, **sizes)
    assert_close(encoder(images()), model.eval().forward_features(images()))


@pytest.mark.parametrize("size", ["large", "huge", "1b", "3b"])
@pytest.mark.parametrize("side", [224, 336, 448])
def test_released_architectures_have_our_tensors(size: str, side: int, timm: Any) -> None:
    with torch.device("meta"):
        model = timm.create_model(f"aimv2_{size}_patch14_{side}", pretrained=False, num_classes=0)
        ours = to_theirs(VisionEncoder(recipe(f"aimv2-{size}-{side}")).state_dict(), TIMM)
    assert {name: x.shape for name, x in model.state_dict().items()} == {name: x.shape for name, x in ours.items()}
    assert model.blocks[0].attn.num_heads == recipe(f"aimv2-{size}-{side}").encoder.heads


def test_the_readmes_example_runs(timm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data_samples").symlink_to(ROOT / "data_samples")
    Path("runs/small").mkdir(parents=True)
    save_model(Path("runs/small"), AIMv2(recipe("small")))
    for line in [line for line in commands() if "launch.export" in line and "--to timm" in line]:
        run_export(line.split()[3:])
    (example,) = [block for block in fenced(README, "python") if "import timm" in block]
    Path("example.py").write_text(example)
    found = runpy.run_path("example.py")
    ours = load_encoder("runs/small")(load_preprocessing("runs/small")(found["picture"])[None])
    assert found["features"].shape == (1, 64, 256)
    assert_close(ours, found["features"])
