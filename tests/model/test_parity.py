"""Our encoder is transformers' `Aimv2VisionModel`: same weights, same features, same gradients.

The weights are wide and the limit is a fraction of the largest value: as initialised, a model whose two norms are
swapped would pass. In float32, because transformers' norms compute in it whatever the model's type.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import Aimv2VisionConfig, Aimv2VisionModel

from aimv2_lab.formats.huggingface import encoder_to_transformers, transformers_to_encoder
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.masks import prefix_mask
from aimv2_lab.recipes import EncoderRecipe
from tests.model.tiny import generator

TOLERANCE = 1e-5  # of the largest value; what rounding leaves is a few 1e-6
LEARNED = EncoderRecipe(image_size=56, width=64, depth=3, heads=4, hidden=176)
NATIVE = replace(LEARNED, positions="sincos")
LENGTHS = torch.tensor([1, 7, 15])


def pair(recipe: EncoderRecipe) -> tuple[VisionEncoder, Aimv2VisionModel]:
    """Our encoder with wide weights, and transformers' model with the same."""
    encoder = VisionEncoder(recipe).eval()
    draw_wide_weights(encoder, generator(3))
    return encoder, twin(encoder)


def twin(encoder: VisionEncoder) -> Aimv2VisionModel:
    config = Aimv2VisionConfig(
        hidden_size=encoder.recipe.width,
        intermediate_size=encoder.recipe.hidden,
        num_hidden_layers=encoder.recipe.depth,
        num_attention_heads=encoder.recipe.heads,
        image_size=encoder.recipe.image_size,
        patch_size=encoder.recipe.patch_size,
        is_native=encoder.recipe.positions == "sincos",
        use_head=False,
    )
    theirs = Aimv2VisionModel(config).eval()
    theirs.load_state_dict(encoder_to_transformers(encoder))
    return theirs


def their_features(theirs: Aimv2VisionModel, pictures: Tensor, lengths: Tensor | None) -> Tensor:
    """The final-normed features, under a prefix mask if lengths are given."""
    tokens = theirs.embeddings(pictures)
    mask = None if lengths is None else prefix_mask(lengths, tokens.shape[1])
    return theirs.rms_norm(theirs.encoder(inputs_embeds=tokens, attention_mask=mask).last_hidden_state)


def pictures(height: int = 56, width: int = 56) -> Tensor:
    return torch.randn(3, 3, height, width, generator=generator(4))


def assert_close(ours: Tensor, theirs: Tensor, what: str = "") -> None:
    difference, largest = (ours - theirs).abs().max(), theirs.abs().max()
    assert difference <= TOLERANCE * largest, f"{what} differs by {difference:.1e} at values up to {largest:.1e}"


def gradients(encoder: VisionEncoder) -> Mapping[str, Tensor]:
    """The gradient of every parameter under transformers' names."""
    holder = copy.deepcopy(encoder)
    for parameter, source in zip(holder.parameters(), encoder.parameters(), strict=True):
        assert source.grad is not None
        parameter.data = source.grad
    return encoder_to_transformers(holder)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["bidirectional", "prefix"])
def test_features_and_gradients_are_equal(lengths: Tensor | None) -> None:
    encoder, theirs = pair(LEARNED)
    ours_in, theirs_in = pictures().requires_grad_(), pictures().requires_grad_()
    ours_out, theirs_out = encoder(ours_in, lengths), their_features(theirs, theirs_in, lengths)
    assert_close(ours_out, theirs_out, "the output")

    weights = torch.randn(ours_out.shape, generator=generator(5))
    (ours_out * weights).sum().backward()
    (theirs_out * weights).sum().backward()
    assert ours_in.grad is not None
    assert theirs_in.grad is not None
    assert_close(ours_in.grad, theirs_in.grad, "the images' gradient")
    ours_gradients = gradients(encoder)
    for name, parameter in theirs.named_parameters():
        assert parameter.grad is not None, name
        assert_close(ours_gradients[name], parameter.grad, f"the gradient of {name}")


def test_a_prefix_changes_the_features() -> None:
    encoder, _ = pair(LEARNED)
    assert (encoder(pictures(), LENGTHS) - encoder(pictures())).abs().amax(dim=(1, 2)).min() > 1


def test_hidden_states_are_equal_at_every_depth() -> None:
    encoder, theirs = pair(LEARNED)
    expected = theirs(pictures(), output_hidden_states=True).hidden_states
    for depth, (ours, wanted) in enumerate(zip(encoder.hidden_states(pictures()), expected, strict=True)):
        assert_close(ours, wanted, f"hidden state {depth}")


def test_features_are_equal_where_eps_decides() -> None:
    encoder, _ = pair(LEARNED)
    assert encoder.patch_projection.bias is not None
    torch.nn.init.zeros_(encoder.patch_projection.bias)
    tiny = 1e-3 * pictures()
    assert_close(encoder(tiny), twin(encoder)(tiny).last_hidden_state)

    other = VisionEncoder(replace(LEARNED, norm_eps=1e-6)).eval()
    other.load_state_dict(encoder.state_dict())
    assert (other(tiny) - encoder(tiny)).abs().max() > 0.1  # the case does see a wrong eps


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["bidirectional", "prefix"])
@pytest.mark.parametrize(("height", "width"), [(56, 56), (56, 84), (98, 42)])
def test_native_features_are_equal_at_any_shape(height: int, width: int, lengths: Tensor | None) -> None:
    encoder, theirs = pair(NATIVE)
    assert_close(encoder(pictures(height, width), lengths), their_features(theirs, pictures(height, width), lengths))


@pytest.mark.parametrize("recipe", [LEARNED, NATIVE], ids=["learned", "native"])
def test_their_weights_load_into_our_encoder(recipe: EncoderRecipe) -> None:
    _, theirs = pair(recipe)
    draw_wide_weights(theirs, generator(6))
    encoder = VisionEncoder(recipe).eval()
    encoder.load_state_dict(transformers_to_encoder(theirs.state_dict(), recipe))
    assert_close(encoder(pictures()), theirs(pictures()).last_hidden_state)
