"""The encoder: who sees whom, what it accepts, and the published parameter counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.masks import prefix_mask
from aimv2_lab.model.models import model_of
from aimv2_lab.model.patches import patchify
from aimv2_lab.model.pooling import PoolingHead
from aimv2_lab.recipes import recipe
from tests.model.tiny import PATCHES, RECIPE, dependence, every_prefix_length, images, wide, wide_encoder

# Encoder parameters at 224, 336 and 448 pixels, as published and as released.
PUBLISHED = {
    "base": (85_603_584, 85_849_344, 86_193_408),
    "large": (309_197_824, 309_525_504, 309_984_256),
    "huge": (680_851_968, 681_343_488, 682_031_616),
    "1b": (1_234_958_336, 1_235_613_696, 1_236_531_200),
    "3b": (2_720_658_432, 2_721_641_472, 2_723_017_728),
}


def test_every_query_sees_exactly_the_keys_of_its_prefix_mask() -> None:
    lengths = every_prefix_length()
    pictures = images(len(lengths)).requires_grad_()
    strength = dependence(wide_encoder()(pictures, lengths), pictures)  # (queries, images, 3, height, width)
    seen = torch.stack([patchify(query, 2).sum(dim=-1) for query in strength], dim=1) > 0  # (images, queries, keys)
    assert torch.equal(seen, prefix_mask(lengths, PATCHES)[:, 0])


def test_without_prefix_lengths_every_patch_sees_every_patch() -> None:
    pictures = images(1).requires_grad_()
    strength = dependence(wide_encoder()(pictures), pictures)
    assert (patchify(strength[:, 0], 2).sum(dim=-1) > 0).all()


def test_images_of_a_batch_do_not_meet() -> None:
    encoder, pictures, lengths = wide_encoder(), images(3), torch.tensor([2, 8, 5])
    together = encoder(pictures, lengths)
    alone = [encoder(pictures[i : i + 1], lengths[i : i + 1]) for i in range(3)]
    assert torch.allclose(together, torch.cat(alone), rtol=0, atol=1e-12)


def test_hidden_states_are_what_enters_the_first_block_and_leaves_every_block() -> None:
    encoder, pictures, lengths = wide_encoder(), images(), torch.tensor([1, 6])
    states = encoder.hidden_states(pictures, lengths)
    assert len(states) == RECIPE.encoder.depth + 1
    assert torch.equal(states[0], encoder.embed(pictures))
    mask = prefix_mask(lengths, PATCHES)
    for before, block, after in zip(states, encoder.blocks, states[1:], strict=False):
        assert torch.equal(block(before, mask), after)
    assert torch.equal(encoder.norm(states[-1]), encoder(pictures, lengths))


def test_sincos_positions_take_any_grid_and_tell_its_axes_apart() -> None:
    encoder = wide(VisionEncoder(RECIPE.change({"encoder.positions": "sincos"})))
    flat = torch.ones(1, 3, 4, 10, dtype=torch.float64)  # every patch alike: only positions differ
    features = encoder(flat)
    assert features.shape == (1, 10, 16)
    assert torch.pdist(features[0]).min() > 1e-3
    assert not torch.allclose(features, encoder(flat.transpose(2, 3)))
    assert encoder(images(size=2)).shape == (2, 1, 16)


@pytest.mark.parametrize(
    ("shape", "dtype", "named"),
    [
        ((2, 3, 8, 8), torch.float64, "8 x 8 do not fit .* table for 6 x 6; resize them, .*image_size, or .*'sincos'"),
        ((2, 3, 2, 18), torch.float64, "2 x 18 do not fit"),  # as many patches, in another shape
        ((2, 3, 6, 7), torch.float64, "image width 7 is not a multiple of the patch size 2"),
        ((2, 1, 6, 6), torch.float64, r"float \(B, 3, height, width\), not torch.float64 \(2, 1, 6, 6\)"),
        ((3, 6, 6), torch.float64, r"not torch.float64 \(3, 6, 6\)"),
        ((2, 3, 1, 6, 6), torch.float64, r"not torch.float64 \(2, 3, 1, 6, 6\)"),
        ((2, 3, 6, 6), torch.uint8, "not torch.uint8"),
    ],
)
def test_images_it_cannot_read_are_refused(shape: tuple[int, ...], dtype: torch.dtype, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        wide_encoder()(torch.zeros(shape, dtype=dtype))


@pytest.mark.parametrize("length", [0, PATCHES])
def test_a_prefix_out_of_range_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"prefix length {length} of image 1 lies outside 1 … 8"):
        wide_encoder()(images(), torch.tensor([3, length]))


@pytest.mark.parametrize("size", PUBLISHED)
def test_parameter_counts_are_the_published_ones(size: str) -> None:
    with torch.device("meta"):
        encoders = [VisionEncoder(recipe(f"aimv2-{size}-{pixels}")) for pixels in (224, 336, 448)]
    assert tuple(sum(p.numel() for p in encoder.parameters()) for encoder in encoders) == PUBLISHED[size]


def test_the_native_encoder_has_no_position_table() -> None:
    with torch.device("meta"):
        encoder = VisionEncoder(recipe("aimv2-large-224", {"encoder.positions": "sincos"}))
    assert sum(p.numel() for p in encoder.parameters()) == 308_935_680


def test_large_with_its_decoder_counts_as_the_released_training_code_but_for_one_text_slot() -> None:
    with torch.device("meta"):
        model = AIMv2(recipe("aimv2-large-224"))
    assert sum(p.numel() for p in model.parameters()) == 530_632_704 - 1024 == 530_631_680
    assert sum(p.numel() for p in [*model.decoder.blocks.parameters(), model.decoder.norm.weight]) == 154_166_272


def test_initial_weights_are_drawn_as_released() -> None:
    """Xavier uniform is bounded by sqrt(6 / (fan-in + fan-out)) and comes close to the bound."""
    torch.manual_seed(0)
    encoder = VisionEncoder(recipe("tiny", {"encoder.positions": "learned"}))
    width, hidden, patch_values = 128, 352, 432
    drawn = {
        "patch_projection": (width, patch_values),
        "blocks.3.attention.qkv": (width, width),  # three matrices in one, each drawn as its own
        "blocks.3.attention.out": (width, width),
        "blocks.3.feed_forward.gate": (width, hidden),
        "blocks.3.feed_forward.up": (width, hidden),
        "blocks.3.feed_forward.down": (width, hidden),
    }
    for name, fans in drawn.items():
        largest = encoder.get_parameter(f"{name}.weight").abs().max().item()
        assert largest == pytest.approx((6 / sum(fans)) ** 0.5, rel=1e-2), name
    assert encoder.get_parameter("positions").std().item() == pytest.approx(0.02, rel=0.05)
    assert not encoder.get_parameter("patch_projection.bias").any()


def test_features_are_a_map_of_any_layer() -> None:
    encoder, pictures = wide(VisionEncoder(replace(RECIPE.encoder, positions="sincos"))), images()
    pictures = torch.cat([pictures, pictures.flip(3)], dim=3)[..., :10]  # 3 x 5 patches
    states = encoder.hidden_states(pictures)
    for layer, stream in enumerate(states):
        found = encoder.features(pictures, layer, normed=False)
        assert found.dense.shape == (2, 3, 5, 16)
        assert torch.equal(found.dense[1, 2, 4], stream[1, 14]) and torch.equal(found.dense[0, 1, 0], stream[0, 5])
        assert torch.equal(found.mean, stream.mean(dim=1))
        assert torch.equal(encoder.features(pictures, layer).dense.flatten(1, 2), encoder.norm(stream))
    last = encoder.features(pictures)
    assert torch.equal(last.dense.flatten(1, 2), encoder(pictures)) and last.pooled is None


def test_later_blocks_are_not_computed_for_an_inner_layer() -> None:
    encoder = wide_encoder()
    encoder.blocks[1].forward = lambda *_: pytest.fail("block 1 was computed")
    assert encoder.features(images(), layer=1).dense.shape == (2, 3, 3, 16)
    for layer in (-1, 3):
        with pytest.raises(ValueError, match=rf"layer = {layer}; this encoder has 0 .* … 2"):
            encoder.features(images(), layer)


def test_a_head_reads_the_last_layer_normed_and_is_in_the_state() -> None:
    encoder = VisionEncoder(RECIPE)
    names = [*encoder.state_dict()]
    encoder.head = PoolingHead(16, 2)
    wide(encoder)
    assert {name for name in encoder.state_dict() if name not in names} == {
        "head.pooling.query",
        "head.pooling.keys_values.weight",
        "head.output.weight",
        "head.output.bias",
    }
    found = encoder.features(images())
    assert found.pooled is not None and torch.equal(found.pooled, encoder.head(encoder(images())))
    assert (
        encoder.features(images(), normed=False).pooled is None and encoder.features(images(), layer=1).pooled is None
    )


@pytest.mark.filterwarnings("error")  # torch warns where a norm's input and weight differ, and leaves its fused kernel
@pytest.mark.parametrize(
    ("name", "changes"), [("tiny", {}), ("tiny", {"encoder.positions": "learned"}), ("aim-tiny", {})]
)
def test_in_bfloat16_the_stream_is_float32_from_its_beginning(name: str, changes: dict[str, str]) -> None:
    known = recipe(name, {"encoder.depth": 2} | changes)
    with torch.autocast("cpu", torch.bfloat16):
        stream = model_of(known).encoder.hidden_states(torch.randn(2, 3, 48, 48), torch.tensor([3, 9]))
    assert [entry.dtype for entry in stream] == [torch.float32] * 3
