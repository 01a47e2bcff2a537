"""No prediction of a rival objective has seen what it predicts: proven by gradients through the whole model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.masked_image import MaskedImageModel, masked_losses
from aimv2_lab.model.masks import parallel_mask
from aimv2_lab.model.patches import patchify, standardise
from aimv2_lab.model.rival_decoders import ParallelDecoder
from aimv2_lab.recipes import MaskedImageRecipe, Recipe, Rival, rival
from tests.model.tiny import CAPTIONS, PATCHES, RECIPE, TOKENS, VOCABULARY, dependence, generator, images, wide

LENGTH = RECIPE.decoder.text_tokens
PADDED = torch.nn.functional.pad(CAPTIONS, (0, LENGTH - TOKENS))


def captioner(name: Rival) -> AIMv2:
    found = rival(name, RECIPE)
    assert isinstance(found, Recipe)
    return wide(AIMv2(found))


def masked() -> MaskedImageModel:
    found = rival("masked-image", RECIPE)
    assert isinstance(found, MaskedImageRecipe)
    assert (found.visible_patches, found.hidden_patches) == (2, 7)  # of nine
    return wide(MaskedImageModel(found))


def orders(count: int) -> Tensor:
    return torch.rand(count, PATCHES, generator=generator(3)).argsort(dim=1)


# CapPa


def test_a_caption_predicted_at_once_is_seen_by_none_of_its_predictions() -> None:
    model, pictures = captioner("cappa"), images(2).requires_grad_()
    said = model(pictures, PADDED, None, None, torch.tensor([True, True]))
    decoder = model.decoder
    assert not dependence(said.logits, decoder.token_table.weight).any()
    assert not dependence(said.logits, decoder.start).any()
    others = torch.where(PADDED == 3, 7, PADDED.flip(1))
    assert torch.equal(model(pictures, others, None, None, torch.tensor([True, True])).logits, said.logits)
    seen = dependence(said.logits, pictures)  # the whole picture
    assert all(patchify(slot, 2).sum(dim=-1).all() for slot in seen)


def test_all_slots_of_a_caption_predicted_at_once_see_each_other_and_no_others_do() -> None:
    model = captioner("cappa")
    for at_once in (True, False):
        said = model(images(1), PADDED[:1], None, None, torch.tensor([at_once]))
        seen = dependence(said.logits, model.decoder.text_positions).sum(dim=-1) > 0
        expected = torch.ones(LENGTH, LENGTH) if at_once else torch.ones(LENGTH, LENGTH).tril()
        assert torch.equal(seen, expected.bool())


def test_captions_beside_those_predicted_at_once_are_predicted_as_ever() -> None:
    model = captioner("cappa")
    pictures = images(2)
    mixed = model(pictures, PADDED, None, None, torch.tensor([False, True])).logits
    torch.testing.assert_close(mixed[0, :TOKENS], model(pictures, CAPTIONS).logits[0], rtol=0, atol=1e-10)
    alone = model(pictures[1:], PADDED[1:], None, None, torch.tensor([True])).logits
    torch.testing.assert_close(mixed[1:], alone, rtol=0, atol=1e-10)
    assert not torch.allclose(mixed[1, :TOKENS], model(pictures, CAPTIONS).logits[1], atol=1e-3)


def test_the_number_of_text_slots_says_nothing_of_a_captions_length() -> None:
    with pytest.raises(ValueError, match=f"{TOKENS} tokens per caption: those predicted at once must be padded to 7"):
        captioner("cappa")(images(2), CAPTIONS, None, None, torch.tensor([True, False]))


def test_the_mask_of_a_pair_predicted_at_once() -> None:
    ordinary, at_once = parallel_mask(torch.tensor([False, True]), 2, 2)[:, 0].int().tolist()
    assert ordinary == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert at_once == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]


# Captions alone, pictures alone


def test_captions_alone_say_what_the_whole_model_says_of_them() -> None:
    whole, alone = wide(AIMv2(RECIPE)), captioner("caption-only")
    alone.load_state_dict({n: w for n, w in whole.state_dict().items() if n in alone.state_dict()})
    assert whole.state_dict().keys() - alone.state_dict().keys() == {"decoder.pixel_head.weight"}
    lengths, slots = torch.tensor([3, 8]), torch.tensor([0, 4, 7])
    for chosen in (None, slots):
        said, expected = (model(images(2), CAPTIONS, lengths, chosen) for model in (alone, whole))
        assert said.pixels.shape == (2, 0, 0)
        torch.testing.assert_close(said.logits, expected.logits, rtol=0, atol=1e-12)


def test_pictures_alone_say_what_the_whole_model_says_of_them() -> None:
    whole, alone = wide(AIMv2(RECIPE)), captioner("image-only")
    alone.load_state_dict({n: w for n, w in whole.state_dict().items() if n in alone.state_dict()})
    left_out = {n.split(".")[1] for n in whole.state_dict().keys() - alone.state_dict().keys()}
    assert left_out == {"start", "token_table", "text_positions", "text_head"}
    lengths = torch.tensor([3, 8])
    said = alone(images(2), CAPTIONS[:, :0], lengths)
    assert said.logits.shape == (2, 0, VOCABULARY)
    torch.testing.assert_close(said.pixels, whole(images(2), CAPTIONS, lengths).pixels, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="reads no captions, but got 5 tokens"):
        alone(images(2), CAPTIONS)


# Masked images


def test_no_prediction_of_a_hidden_patch_sees_a_hidden_patch() -> None:
    model, order = masked(), orders(1)
    pictures = images(1).requires_grad_()
    said = model(pictures, order)
    assert said.shape == (1, 7, 12)
    seen = torch.stack([patchify(slot, 2)[0].sum(dim=-1) > 0 for slot in dependence(said, pictures)])
    assert seen[:, order[0, :2]].all() and not seen[:, order[0, 2:]].any()


def test_the_encoder_computes_visible_patches_alone_each_at_its_own_place() -> None:
    model, order = masked(), orders(2)
    passed = []
    model.encoder.blocks[0].register_forward_hook(lambda _, given, __: passed.append(given[0]))
    model(images(2), order)
    whole = model.encoder.embed(images(2))
    for image in range(2):
        assert torch.equal(passed[0][image], whole[image, order[image, :2]])
    everything = torch.arange(PATCHES).expand(2, -1)
    torch.testing.assert_close(
        model.encoder(images(2), visible=everything), model.encoder(images(2)), rtol=0, atol=1e-12
    )
    lengths = torch.tensor([2, 5])
    torch.testing.assert_close(
        model.encoder(images(2), lengths, everything), model.encoder(images(2), lengths), rtol=0, atol=1e-12
    )
    with pytest.raises(ValueError, match="lies outside 1 … 1"):  # of two patches
        model.encoder(images(2), lengths, everything[:, :2])


def test_the_order_among_visible_and_among_hidden_patches_changes_nothing() -> None:
    model, order = masked(), orders(1)
    other = torch.cat([order[:, :2].flip(1), order[:, 2:].roll(3, dims=1)], dim=1)
    torch.testing.assert_close(model(images(1), other), model(images(1), order).roll(3, dims=1), rtol=0, atol=1e-10)


def test_the_masked_loss_is_the_mean_over_hidden_patches() -> None:
    order, pictures = orders(2), images(2)
    targets = standardise(patchify(pictures, 2)).values
    hidden = torch.stack([targets[image, order[image, 2:]] for image in range(2)])
    assert masked_losses(hidden, pictures, order, 14, 2).total < 1e-10
    assert masked_losses(hidden.roll(1, dims=1), pictures, order, 14, 2).total > 0.5
    said = torch.randn(2, 7, 12, generator=generator(4))
    got = masked_losses(said, pictures, order, 14, 2)
    assert got.total == got.pixel and got.text == 0
    torch.testing.assert_close(got.total, (said - hidden).square().mean(), rtol=1e-5, atol=0, check_dtype=False)


def test_a_decoder_for_captions_at_once_is_a_captioner_too() -> None:
    assert isinstance(captioner("cappa").decoder, ParallelDecoder)
    assert captioner("cappa")(images(2), CAPTIONS).logits.shape == (2, TOKENS, VOCABULARY)


# Separate decoders


def test_separate_decoders_have_nothing_in_common_but_the_features() -> None:
    model = wide(AIMv2(RECIPE.change({"decoder.separate": True})))
    lengths, pictures = torch.tensor([4, 4]), images(2).requires_grad_()
    said = model(pictures, CAPTIONS, lengths)
    assert (said.pixels.shape, said.logits.shape) == ((2, PATCHES, 12), (2, TOKENS, VOCABULARY))
    for part, depends in ((said.pixels, True), (said.logits, False)):
        for name, weight in model.decoder.named_parameters():
            (found,) = torch.autograd.grad(part.sum(), weight, retain_graph=True, allow_unused=True)
            assert (found is not None) == (name.startswith("pictures.") == depends), name
    seen = dependence(said.pixels, pictures)
    for output in range(3, PATCHES - 1):
        assert patchify(seen[output], 2)[0].sum(dim=-1).nonzero()[:, 0].tolist() == list(range(output + 1))
    seen = dependence(said.logits, model.decoder.token_table.weight).sum(dim=-1) > 0
    for output in range(TOKENS):
        assert seen[output].nonzero()[:, 0].tolist() == sorted(set(CAPTIONS[:, :output].flatten().tolist()))


def test_separate_decoders_are_refused_where_one_would_have_nothing_to_do() -> None:
    with pytest.raises(ValueError, match=r"decoder\.separate = True with one half"):
        RECIPE.change({"decoder.separate": True, "decoder.text_tokens": 0, "data.tokenizer": ""})
    with pytest.raises(ValueError, match=r"decoder\.separate = True with one half"):
        RECIPE.change({"decoder.separate": True, "objective.target": "none", "objective.pixel_weight": 0.0})
