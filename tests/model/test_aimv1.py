"""AIM v1: trunk and head equal formulas written anew, nothing counted leaks, and the sizes are the released ones."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aimv2_lab.model.aimv1 import AIMv1, AIMv1Trunk
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.masks import prefix_mask
from aimv2_lab.model.objective import counted_outputs
from aimv2_lab.model.patches import patchify
from aimv2_lab.model.positions import sincos_positions
from aimv2_lab.recipes import AIMv1Recipe, PixelHeadRecipe, TrunkRecipe, recipe
from tests.model.tiny import PATCHES, dependence, every_prefix_length, images, wide

RECIPE = AIMv1Recipe(
    name="test",
    encoder=TrunkRecipe(image_size=6, patch_size=2, width=16, depth=2, heads=2),
    head=PixelHeadRecipe(width=24, depth=3),
)


def wide_model() -> AIMv1:
    return wide(AIMv1(RECIPE))


def no_text(batch: int) -> Tensor:
    return torch.empty(batch, 0, dtype=torch.long)


# The two formulas, from functions of torch alone.


def by_hand_norm(x: Tensor, weights: Mapping[str, Tensor], name: str, eps: float = 1e-6) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def by_hand_mlp(x: Tensor, weights: Mapping[str, Tensor], name: str) -> Tensor:
    hidden = x @ weights[f"{name}.up.weight"].T
    return (0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))) @ weights[f"{name}.down.weight"].T


def by_hand_attention(x: Tensor, weights: Mapping[str, Tensor], name: str, mask: Tensor, heads: int) -> Tensor:
    """Head by head and with an explicit softmax."""
    queries, keys, values = (x @ part.T for part in weights[f"{name}.qkv.weight"].chunk(3))
    size = x.shape[-1] // heads
    mixed = []
    for head in range(heads):
        q, k, v = (part[..., head * size : (head + 1) * size] for part in (queries, keys, values))
        scores = (q @ k.transpose(1, 2) / math.sqrt(size)).masked_fill(~mask, -math.inf)
        mixed.append(scores.softmax(dim=-1) @ v)
    return torch.cat(mixed, dim=-1) @ weights[f"{name}.out.weight"].T


def by_hand_trunk(weights: Mapping[str, Tensor], pictures: Tensor, mask: Tensor, recipe: TrunkRecipe) -> Tensor:
    kernel, bias = weights["patch_projection.weight"], weights["patch_projection.bias"]
    cut = functional.unfold(pictures, recipe.patch_size, stride=recipe.patch_size).transpose(1, 2)
    x = by_hand_norm(cut @ kernel.flatten(1).T + bias, weights, "patch_norm")
    x = x + sincos_positions(recipe.grid_size, recipe.grid_size, recipe.width)
    for i in range(recipe.depth):
        normed = by_hand_norm(x, weights, f"blocks.{i}.attention_norm")
        x = x + by_hand_attention(normed, weights, f"blocks.{i}.attention", mask, recipe.heads)
        normed = by_hand_norm(x, weights, f"blocks.{i}.feed_forward_norm")
        x = x + by_hand_mlp(normed, weights, f"blocks.{i}.feed_forward")
    return by_hand_norm(x, weights, "norm")


def by_hand_head(
    weights: Mapping[str, Tensor], features: Tensor, recipe: PixelHeadRecipe, grid: tuple[int, int]
) -> Tensor:
    def norm(x: Tensor, name: str) -> Tensor:
        return by_hand_norm(x, weights, name, eps=1e-5)

    x = features @ weights["projection.weight"].T + weights["projection.bias"]
    x = x + sincos_positions(*grid, recipe.width)
    for i in range(recipe.depth):
        x = x + norm(x, f"blocks.{i}.pass_through_norm")
        x = x + by_hand_mlp(norm(x, f"blocks.{i}.feed_forward_norm"), weights, f"blocks.{i}.feed_forward")
    return norm(x, "norm") @ weights["pixels.weight"].T + weights["pixels.bias"]


def equal(mine: Tensor, theirs: Tensor) -> None:
    """Equal to 1e-9 of the largest value: float64, so that another eps shows."""
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9 * theirs.abs().max().item())


@pytest.mark.parametrize("lengths", [torch.tensor([4, 1]), torch.tensor([8, 3]), None])
def test_the_trunk_equals_one_written_from_plain_functions(lengths: Tensor | None) -> None:
    trunk = wide(AIMv1Trunk(RECIPE))
    seen = torch.ones(2, PATCHES, PATCHES, dtype=torch.bool)
    mask = seen if lengths is None else seen.tril() | (torch.arange(PATCHES) < lengths[:, None, None])
    equal(by_hand_trunk(trunk.state_dict(), images(), mask, RECIPE.encoder), trunk(images(), lengths))


def test_the_head_equals_its_formula() -> None:
    model, features = wide_model(), torch.randn(2, PATCHES, 16, dtype=torch.float64)
    for grid in ((3, 3), (1, 9), (9, 1)):
        equal(by_hand_head(model.head.state_dict(), features, RECIPE.head, grid), model.head(features, grid))


def test_a_head_of_depth_zero_is_one_linear_layer() -> None:
    head = wide(AIMv1(RECIPE.change({"head.depth": 0}))).head
    features = torch.randn(2, PATCHES, 16, dtype=torch.float64)
    assert set(head.state_dict()) == {"pixels.weight", "pixels.bias"}
    equal(features @ head.pixels.weight.T + head.pixels.bias, head(features, (3, 3)))


def test_the_head_of_an_oblong_picture_reads_its_own_grid() -> None:
    """Positions are those of the picture, not of the recipe's square."""
    model, pictures = wide_model(), images(size=12)[:, :, :4]  # 2 x 6 patches
    said = model(pictures, no_text(2)).pixels
    equal(said, model.head(model.encoder(pictures), (2, 6)))
    assert not torch.allclose(said, model.head(model.encoder(pictures), (6, 2)))


# What may be seen


def test_no_counted_output_sees_its_target_or_a_later_patch() -> None:
    lengths = every_prefix_length()
    pictures = images(len(lengths)).requires_grad_()
    strength = dependence(wide_model()(pictures, no_text(len(lengths)), lengths).pixels, pictures)
    seen = torch.stack([patchify(output, 2).sum(dim=-1) > 0 for output in strength], dim=1)
    rule = prefix_mask(lengths, PATCHES)[:, 0]
    assert torch.equal(seen, rule)  # AIMv2's rule: nothing more, and nothing less
    for image, counted in enumerate(counted_outputs(lengths, PATCHES)):
        assert torch.equal(seen[image, :-1][counted], torch.ones(PATCHES, PATCHES).tril().bool()[:-1][counted])


def test_the_head_reads_every_patch_on_its_own() -> None:
    features = torch.randn(1, PATCHES, 16, dtype=torch.float64, requires_grad=True)
    strength = dependence(wide_model().head(features, (3, 3)), features)[:, 0].sum(dim=-1)
    assert torch.equal(strength > 0, torch.eye(PATCHES, dtype=torch.bool))


def test_without_prefix_lengths_every_patch_sees_all() -> None:
    pictures = images().requires_grad_()
    strength = dependence(wide_model().encoder(pictures), pictures)
    assert (torch.stack([patchify(output, 2).sum(dim=-1) for output in strength]) > 0).all()


# Called as AIMv2 is


def test_predictions_are_shaped_as_those_of_aimv2_with_a_caption_of_no_tokens() -> None:
    said = wide_model()(images(), no_text(2), torch.tensor([2, 7]))
    assert (said.pixels.shape, said.logits.shape) == ((2, PATCHES, 12), (2, 0, 1))


def test_captions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"AIM v1 reads no text, but got 3 tokens per image"):
        wide_model()(images(), torch.zeros(2, 3, dtype=torch.long))


def test_each_encoder_is_built_from_its_own_recipe_only() -> None:
    with pytest.raises(
        TypeError, match="VisionEncoder is built from EncoderRecipe, not TrunkRecipe; AIM v1's encoder is AIMv1Trunk"
    ):
        VisionEncoder(RECIPE)
    with pytest.raises(TypeError, match="AIMv1Trunk is built from TrunkRecipe, not EncoderRecipe"):
        AIMv1Trunk(recipe("tiny"))


def test_initial_weights_are_xavier_and_biases_zero() -> None:
    torch.manual_seed(0)
    model = AIMv1(recipe("aim-tiny"))
    for name, parameter in model.named_parameters():
        if "norm" in name:
            assert torch.equal(parameter, torch.ones_like(parameter) * name.endswith("weight"))
        elif name.endswith("bias"):
            assert not parameter.any()
        else:
            blocks = parameter.chunk(3) if "qkv" in name else [parameter.flatten(1)]
            for block in blocks:
                limit = math.sqrt(6 / sum(block.shape))
                assert 0.9 * limit < block.abs().max() <= limit


# Sizes. "Trunk alone" is what the released code's count leaves out of the patch embedding: the blocks and the final
# norm. Patch embedding: 588 D weights, D biases, and a LayerNorm of 2 D.

TRUNKS = {
    "aim-600m": (1536, 679_627_776, 680_535_552),
    "aim-1b": (2048, 1_208_160_256, 1_209_370_624),
    "aim-3b": (3072, 2_718_210_048, 2_720_025_600),
    "aim-7b": (4096, 6_442_983_424, 6_445_404_160),
}


@pytest.mark.parametrize("name", TRUNKS)
def test_parameter_counts_are_those_of_the_released_models(name: str) -> None:
    width, alone, whole = TRUNKS[name]
    preset = recipe(name)
    assert isinstance(preset, AIMv1Recipe)
    with torch.device("meta"):
        model = AIMv1(preset)
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.encoder.named_children()}
    assert counts["blocks"] + counts["norm"] == alone
    assert counts["patch_projection"] + counts["patch_norm"] == 588 * width + width + 2 * width
    assert sum(counts.values()) == whole  # no position table
    # The head: in, twelve blocks of a four times wider MLP and two norms, a norm, and out.
    blocks = 12 * (2 * 4 * 2048**2 + 2 * 2 * 2048)
    expected = (width * 2048 + 2048) + blocks + 2 * 2048 + (2048 * 588 + 588)
    assert sum(p.numel() for p in model.head.parameters()) == expected
