"""No prediction that counts has seen what it predicts: proven by gradients through the whole model."""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.objective import counted_outputs
from aimv2_lab.model.patches import patchify
from tests.model.tiny import CAPTIONS, PATCHES, TOKENS, dependence, every_prefix_length, images, wide_model


def leaks(model: AIMv2) -> tuple[Tensor, Tensor]:
    """Which patches each pixel output and each text output depends on (images, outputs, patches), for every prefix."""
    lengths = every_prefix_length()
    pictures = images(len(lengths)).requires_grad_()
    captions = CAPTIONS[:1].expand(len(lengths), -1)
    said = model(pictures, captions, lengths)

    def patches_seen(outputs: Tensor) -> Tensor:
        strength = dependence(outputs, pictures)
        return torch.stack([patchify(output, 2).sum(dim=-1) > 0 for output in strength], dim=1)

    return patches_seen(said.pixels), patches_seen(said.logits)


def test_no_counted_pixel_output_sees_its_target_or_a_later_patch() -> None:
    pixels, _ = leaks(wide_model())
    for image, length in enumerate(every_prefix_length().tolist()):
        counted = counted_outputs(torch.tensor([length]), PATCHES)[0]
        for output in range(PATCHES - 1):
            seen = pixels[image, output].nonzero()[:, 0].tolist()
            if counted[output]:
                assert seen == list(range(output + 1)), f"prefix {length}, output {output}"
            else:  # uncounted for this very reason: the encoder has shown it its target
                assert output + 1 in seen, f"prefix {length}, output {output}"


def test_every_text_output_sees_the_whole_picture_and_only_earlier_tokens() -> None:
    model = wide_model()
    _, logits = leaks(model)
    assert logits.all()
    said = model(images(1), CAPTIONS[:1], torch.tensor([4]))
    seen = dependence(said.logits, model.decoder.token_table.weight).sum(dim=-1) > 0
    for output in range(TOKENS):
        assert seen[output].nonzero()[:, 0].tolist() == sorted(CAPTIONS[0, :output].tolist())
    assert not dependence(said.pixels, model.decoder.token_table.weight).any()


def test_without_a_prefix_every_pixel_output_has_seen_its_target() -> None:
    pictures = images(1).requires_grad_()
    seen = dependence(wide_model()(pictures, CAPTIONS[:1]).pixels, pictures)
    assert all(patchify(seen[output], 2)[0, output + 1].any() for output in range(PATCHES - 1))
