"""The encoder compiled, exported by torch and as ONNX gives the same features, for any batch and native size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor

from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import EncoderRecipe
from tests.formats import encoders
from tests.formats.encoders import assert_close, images, wide_encoder

FIXED, NATIVE = (replace(recipe, depth=1) for recipe in (encoders.FIXED, encoders.NATIVE))
BATCH = torch.export.Dim("batch", min=1, max=1024)
ROWS, COLUMNS = (torch.export.Dim(name, min=2, max=64) for name in ("rows", "columns"))  # torch takes 1 for a constant
KINDS = pytest.mark.parametrize("recipe", [FIXED, NATIVE], ids=["fixed", "native"])


def dynamic(recipe: EncoderRecipe) -> dict[str, Any]:
    """What may differ from call to call."""
    return {"images": {0: BATCH} if recipe is FIXED else {0: BATCH, 2: 14 * ROWS, 3: 14 * COLUMNS}}


def example(recipe: EncoderRecipe) -> Tensor:
    return images(2, 56, 56) if recipe is FIXED else images(2, 56, 84)


def assert_equal_on_other_shapes(encoder: VisionEncoder, graph: Callable[[Tensor], Tensor]) -> None:
    for batch in (1, 3):
        for sides in [(56, 56)] if encoder.recipe == FIXED else [(98, 42), (28, 70)]:
            pictures = images(batch, *sides)
            assert_close(graph(pictures), encoder(pictures))


@torch.no_grad()
@KINDS
def test_exported_by_torch(recipe: EncoderRecipe, tmp_path: Path) -> None:
    encoder = wide_encoder(recipe)
    program = torch.export.export(encoder, (example(recipe),), dynamic_shapes=dynamic(recipe))
    torch.export.save(program, tmp_path / "encoder.pt2")
    assert_equal_on_other_shapes(encoder, torch.export.load(tmp_path / "encoder.pt2").module())


@torch.no_grad()
@KINDS
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
def test_exported_as_onnx(recipe: EncoderRecipe, tmp_path: Path) -> None:
    encoder = wide_encoder(recipe)
    torch.onnx.export(
        encoder,
        (example(recipe),),
        tmp_path / "encoder.onnx",
        input_names=["images"],
        output_names=["features"],
        dynamic_shapes=dynamic(recipe),
        verbose=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    (output,) = session.get_outputs()
    assert output.name == "features" and output.shape[-1] == 64

    def graph(pictures: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["features"], {"images": pictures.numpy()})[0])

    assert_equal_on_other_shapes(encoder, graph)


@torch.no_grad()
@KINDS
def test_compiled(recipe: EncoderRecipe) -> None:
    """Traced whole and run as traced; generating code needs a compiler and a minute, and is torch's."""
    encoder = wide_encoder(recipe)
    torch.compiler.reset()
    compiled = torch.compile(encoder, dynamic=True, fullgraph=True, backend="aot_eager")
    assert_equal_on_other_shapes(encoder, compiled)
    torch.compiler.reset()
