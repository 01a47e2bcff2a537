"""The command turns any format into any other, says how pictures are read, and writes nothing where it refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from aimv2_lab.formats.export import Format
from aimv2_lab.formats.folder import MODEL_FILE, save_model
from aimv2_lab.formats.load import load_encoder, load_preprocessing
from aimv2_lab.formats.names import APPLE, to_theirs
from aimv2_lab.launch.export import main
from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import recipe
from tests.formats.encoders import RELEASED_RULE, assert_same_weights, wide_encoder
from tests.model.tiny import RECIPE


def export(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["export", *map(str, arguments)])
    main()


def test_a_checkpoint_goes_through_every_format_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    model = AIMv2(RECIPE)
    save_model(tmp_path / "run", model)
    ways: list[tuple[str, Format]] = [("run", "apple"), ("apple", "timm"), ("timm", "transformers")]
    for before, to in ways:
        export(monkeypatch, "--to", to, tmp_path / before, tmp_path / to)
        said = capsys.readouterr().out
        assert f"{tmp_path / to}: 2 blocks of width 16, without pooling head, float32, for {to}" in said
        assert "shortest side 6 pixels, the middle 6 x 6, mean 0.4815, 0.4578, 0.4082" in said
        assert "what the encoder came with" in said and f"load it by {'aimv2_lab' if to == 'apple' else to}." in said
    assert_same_weights(load_encoder(tmp_path / "transformers"), model.encoder.float())
    assert load_preprocessing(tmp_path / "transformers").mean == RECIPE.data.mean


def test_a_file_alone_gets_clips_preprocessing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file(to_theirs(wide_encoder(RELEASED_RULE, head=True).state_dict(), APPLE), tmp_path / "alone.safetensors")
    export(monkeypatch, "--to", "transformers", tmp_path / "alone.safetensors", tmp_path / "out", "--image-size", 84)
    said = capsys.readouterr().out
    assert "with pooling head" in said and "CLIP's: " in said and "the middle 84 x 84" in said
    assert load_encoder(tmp_path / "out").recipe.image_size == 84


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "timm"], "timm has no model for AIM v1's trunk"),
        (["--to", "onnx"], "--to"),
        (["--to", "apple", "--revision", "main"], "revision = 'main' is for a name on the hub"),
    ],
)
def test_bad_input_ends_without_a_traceback(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_model(tmp_path, AIMv1(recipe("aim-tiny")))
    with pytest.raises(SystemExit) as ended:
        export(monkeypatch, tmp_path, tmp_path / "out", *arguments)
    assert message in f"{ended.value} {capsys.readouterr().err}"
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(tmp_path, AIMv2(RECIPE))
    with pytest.raises(SystemExit, match=r"FileExistsError: .* not empty"):
        export(monkeypatch, "--to", "apple", tmp_path, tmp_path)
    assert (tmp_path / MODEL_FILE).exists()
