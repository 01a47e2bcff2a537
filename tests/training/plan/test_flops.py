"""The arithmetic of a picture is torch's own count, and its sums are those of the roofline."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from aimv2_lab.model.models import model_of
from aimv2_lab.recipes import RIVALS, ContrastiveRecipe, MaskedImageRecipe, PretrainingRecipe, Rival, recipe, rival
from aimv2_lab.training.plan.flops import flops_utilisation, picture_flops, steps_of_equal_flops

# GFLOP forward per image: encoder, its attention, decoder, its attention, text head, pixels and projections, all of it;
# by an independent script of arithmetic, with 256 patches, 77 tokens and 32,000 words.
ROOFLINE = {
    "large": (157.8, 6.4, 102.7, 2.7, 5.05, 1.2, 275.9),
    "huge": (347.9, 9.7, 102.7, 2.7, 5.05, 1.6, 469.6),
    "1b": (631.4, 12.9, 102.7, 2.7, 5.05, 2.0, 756.7),
    "3b": (1391.6, 19.3, 102.7, 2.7, 5.05, 2.8, 1524),
}


@pytest.mark.parametrize("size", ROOFLINE)
def test_the_published_sizes_cost_what_the_roofline_says(size: str) -> None:
    flops = picture_flops(recipe(f"aimv2-{size}-224"))
    assert [part / 1e9 for part in (*flops[:6], flops.forward)] == pytest.approx(ROOFLINE[size], rel=5e-3, abs=0.06)
    assert flops.step == 3 * flops.forward


def test_utilisation_is_of_the_peak() -> None:
    """478, 598 and 717 images/s are utilisations of 0.4, 0.5 and 0.6 of 989 TFLOP/s."""
    large = recipe("aimv2-large-224")
    shares = [flops_utilisation(large, rate, 989e12) for rate in (478, 598, 717)]
    assert shares == pytest.approx([0.4, 0.5, 0.6], rel=2e-3)


@pytest.mark.parametrize("name", ["tiny", "small", "aim-tiny", "aim-600m", "aimv2-large-224"])
@pytest.mark.parametrize("tokens", [None, 3])
def test_torch_counts_the_same_but_for_the_half_of_causal_attention(name: str, tokens: int | None) -> None:
    known: PretrainingRecipe = recipe(name)
    text = min(known.text_tokens, known.text_tokens if tokens is None else tokens)
    size = known.encoder.image_size
    with torch.device("meta"):
        model, images, words = model_of(known), torch.empty(1, 3, size, size), torch.empty(1, text, dtype=torch.long)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(images, words)
    flops = picture_flops(known, text)
    assert counter.get_total_flops() == flops.forward + flops.decoder_attention


def test_a_head_of_depth_zero_is_one_matrix() -> None:
    known = recipe("aim-tiny", {"head.depth": 0})
    flops = picture_flops(known)
    assert flops.decoder == 0
    assert flops.pixels == 2 * 2 * known.encoder.patches * known.encoder.patch_values * known.encoder.width


def counted_by_torch(name: Rival, preset: str, tokens: int) -> int:
    """A forward pass of one picture, its caption padded as the objective needs it."""
    known = rival(name, recipe(preset))
    size, patches = known.encoder.image_size, known.encoder.patches
    with torch.device("meta"):
        images, words = torch.empty(1, 3, size, size), torch.empty(1, tokens, dtype=torch.long)
        inputs: tuple[Tensor | None, ...] = (words,)
        if isinstance(known, MaskedImageRecipe):
            inputs = (torch.zeros(1, patches, dtype=torch.long),)
        elif isinstance(known, ContrastiveRecipe):
            inputs = (words, torch.zeros(1, dtype=torch.long))
        elif known.objective.parallel_share:
            padded = torch.empty(1, known.text_tokens, dtype=torch.long)
            inputs = (padded, None, torch.zeros(tokens, dtype=torch.long), torch.ones(1, dtype=torch.bool))
        model = model_of(known).requires_grad_(False)
        with FlopCounterMode(display=False) as counter:
            model(images, *inputs)
    return counter.get_total_flops()


@pytest.mark.parametrize("preset", ["tiny", "aimv2-large-224"])
@pytest.mark.parametrize("name", [name for name in RIVALS if name != "cappa"])
def test_torch_counts_the_same_of_every_rival(name: Rival, preset: str) -> None:
    known = rival(name, recipe(preset))
    tokens = min(12, known.text_tokens)
    flops = picture_flops(known, 12)
    causal = 0 if name == "masked-image" else flops.decoder_attention
    similarities = 0
    if isinstance(known, ContrastiveRecipe):
        similarities = (2 if name == "clip" else 1) * 2 * known.training.batch_size * known.shared_width
    assert counted_by_torch(name, preset, tokens) == flops.forward + causal - similarities


def test_attention_among_a_caption_predicted_at_once_is_counted_whole() -> None:
    known = rival("cappa", recipe("tiny"))
    flops, decoder = picture_flops(known, 12), recipe("tiny").decoder
    patches, length = known.encoder.patches, known.text_tokens
    slots = patches + length
    # Half of all pairs of slots, and in three captions of four the other half of those among the text.
    seen = decoder.depth * 4 * decoder.width * (slots**2 / 2 + 0.75 * length**2 / 2)
    assert flops.decoder_attention == round(seen)
    every_pair = decoder.depth * 4 * decoder.width * slots**2  # which a mask does not spare torch
    assert counted_by_torch("cappa", "tiny", 12) == flops.forward - flops.decoder_attention + every_pair


def test_what_is_left_out_is_not_paid_for() -> None:
    known = recipe("tiny")
    whole = picture_flops(known, 12)
    captions, pictures = (picture_flops(rival(name, known), 12) for name in ("caption-only", "image-only"))
    head = 2 * known.encoder.patches * known.decoder.width * known.encoder.patch_values
    assert whole.forward - captions.forward == head
    assert pictures == picture_flops(rival("image-only", known)) and pictures.text_head == 0
    assert pictures.decoder_attention == known.decoder.depth * 2 * known.encoder.patches**2 * known.decoder.width
    masked = picture_flops(rival("masked-image", known))
    assert masked.encoder == whole.encoder // 4 and masked.encoder_attention == whole.encoder_attention // 16


def test_a_frozen_tower_has_no_backward_pass() -> None:
    trained = rival("clip", recipe("tiny"))
    frozen = trained.change({"image_tower": "frozen", "start": "somewhere"})
    ours, theirs = picture_flops(frozen, 9), picture_flops(trained, 9)
    assert ours.forward == theirs.forward
    tower = theirs.encoder + theirs.encoder_attention + theirs.pixels
    assert theirs.step - ours.step == 2 * tower and theirs.step == 3 * theirs.forward


def test_steps_of_equal_flops_cost_the_same() -> None:
    known = recipe("tiny")
    for name in RIVALS:
        found = rival(name, known)
        steps = steps_of_equal_flops(found, known, 12)
        spent = steps * found.training.batch_size * picture_flops(found, 12).step
        budget = known.training.steps * known.training.batch_size * picture_flops(known, 12).step
        assert spent == pytest.approx(budget, rel=1e-3), name
    assert steps_of_equal_flops(known, known) == known.training.steps
    half = rival("clip", known).change({"training.batch_size": 16, "training.micro_batch_size": 16})
    assert steps_of_equal_flops(half, known, 12) == pytest.approx(
        2 * steps_of_equal_flops(rival("clip", known), known, 12), rel=0.02
    )
