"""The formats page's commands and snippets run, one after the other, and say what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import onnxruntime
import pytest
import torch

from aimv2_lab.formats.export import export_encoder
from aimv2_lab.formats.folder import save_model
from aimv2_lab.formats.load import load_encoder
from aimv2_lab.launch.export import run_export
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import recipe
from tests.formats.encoders import AS_IT_IS, NATIVE, assert_close, images, photograph, wide_encoder
from tests.pages import fenced, run_snippet

PAGE = (Path(__file__).resolve().parents[1] / "docs/formats.md").read_text()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the small recipe, what the page's commands make of it, a native encoder and a picture."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "runs/small").mkdir(parents=True)
    save_model(folder / "runs/small", AIMv2(recipe("small")))
    photograph(300, 200).save(folder / "photo.jpg")
    start = "python -m aimv2_lab.launch.export "
    lines = [line for block in fenced(PAGE, "sh") for line in block.splitlines()]
    assert len(lines) == 3
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in lines:
            run_export(shlex.split(line.removeprefix(start)))
    export_encoder(wide_encoder(NATIVE), AS_IT_IS, "transformers", folder / "encoders/native")
    return folder


def test_the_commands_write_what_loads(place: Path) -> None:
    plain = load_encoder(place / "runs/small")
    for name in ("small", "small-timm"):
        assert torch.equal(load_encoder(place / "encoders" / name)(images(1, 112, 112)), plain(images(1, 112, 112)))
    assert load_encoder(place / "encoders/small-apple").recipe.image_size == 168


def test_the_features_have_the_shapes_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    found = run_snippet(fenced(PAGE, "python")[0], place)
    features, inner = found["features"], found["inner"]
    assert features.dense.shape == inner.dense.shape == (1, 8, 8, 256) and features.mean.shape == (1, 256)
    assert features.pooled is None
    assert torch.equal(inner.dense.flatten(1, 2), found["encoder"].hidden_states(found["images"])[4])


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
def test_the_graphs_are_made_and_right(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    found = run_snippet(fenced(PAGE, "python")[1], place)
    pictures = images(3, 70, 42)
    expected = found["encoder"](pictures)
    assert_close(found["program"].module()(pictures), expected)
    session = onnxruntime.InferenceSession(place / "encoder.onnx")
    assert_close(torch.from_numpy(session.run(["features"], {"images": pictures.numpy()})[0]), expected)


def test_no_line_names_a_place_of_ours() -> None:
    assert not re.findall(r"/(?:work|home|tmp)/", PAGE)
