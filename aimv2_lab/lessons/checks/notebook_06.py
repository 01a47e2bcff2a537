"""Checks of notebook 06: the multimodal decoder."""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.lessons.checks.compare import Difference, compare
from aimv2_lab.lessons.checks.core import CheckResult, Property, check_choice, check_number, check_properties
from aimv2_lab.lessons.decoder_variants import MemoryMask, stored_text_first, with_decoder
from aimv2_lab.lessons.leak import Leak, assert_no_leak
from aimv2_lab.lessons.model_leaks import allowed_in_model, model_leaks
from aimv2_lab.lessons.patch_toys import TOY, noise
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.masks import causal_mask

PREFIX_LENGTH, TOKENS = 6, torch.tensor([7, 3, 11, 5, 2])


def check_06a(answer: MemoryMask) -> CheckResult:
    """`answer(patches, tokens)`: the mask (T + I, T + I) that makes a decoder with text stored first equal to ours.

    The leak meter judges what it shows, and equal predictions judge what it hides.
    """
    properties = [Property("the leak meter", _leaks), Property("equal predictions", _differs)]
    return check_properties("06a the order in memory", answer, properties)


def _wide_model() -> AIMv2:
    """The toy with weights drawn wide, so that every path that exists can be measured."""
    model = AIMv2(TOY)
    draw_wide_weights(model, torch.Generator().manual_seed(0))
    return model.eval()


def _leaks(answer: MemoryMask) -> Difference | None:
    """A pair that must not be connected, found by gradients through the whole model."""
    patches, tokens = TOY.encoder.patches, len(TOKENS)
    pictures = noise(2, torch.Generator().manual_seed(1))
    matrix = model_leaks(with_decoder(_wide_model(), stored_text_first(answer)), pictures, TOKENS, PREFIX_LENGTH)
    try:
        assert_no_leak(matrix, allowed_in_model(PREFIX_LENGTH, patches, tokens))
    except Leak as leak:
        return Difference(str(leak).split(";")[0], *_masks(answer, patches, tokens))
    return None


@torch.no_grad()
def _differs(answer: MemoryMask) -> Difference | None:
    """Pixels or logits that differ from the package's."""
    model, draws = _wide_model(), torch.Generator().manual_seed(2)
    for patches, tokens in ((16, TOKENS[None]), (3, TOKENS[None, :2]), (1, TOKENS[None, :1])):
        features = torch.randn(1, patches, TOY.encoder.width, generator=draws)
        theirs = model.decoder(features, tokens)
        yours = stored_text_first(answer)(model.decoder, features, tokens)
        for name, target, value in zip(("pixels", "logits"), theirs, yours, strict=True):
            if compare(target, value, tolerance=1e-4) is not None:
                text = f"the {name} of {patches} patches and {tokens.shape[1]} tokens differ from the package's"
                return Difference(text, *_masks(answer, patches, tokens.shape[1]))
    return None


def _masks(answer: MemoryMask, patches: int, tokens: int) -> tuple[Tensor, Tensor]:
    """The right mask and the learner's, to draw side by side."""
    right = torch.zeros(tokens + patches, tokens + patches)
    right[:tokens, :tokens] = causal_mask(tokens).float()
    right[:tokens, tokens:] = 1.0
    right[tokens:, tokens:] = causal_mask(patches).float()
    return right, answer(patches, tokens).float()


def check_06b(answer: float | None) -> CheckResult:
    """How many times as many slots generation without a cache computes: 256 patches, 77 tokens."""
    hints: dict[float, str] = {
        22715.0: "that is the work without a cache; divide by the work with it",
        333.0: "that is the work with the cache; how many times as much is it without?",
        77.0: "with a cache the first step is not one slot: it takes the whole picture and the start vector",
        59.2: "the sequence grows: step t has 256 + t slots; and the first step needs the start vector",
        295.0: "the cached run also has to compute the picture once",
    }
    return check_number("06b what the cache saves", answer, 68, 68.5, hints)


def check_06c(answer: str | None) -> CheckResult:
    """Why another picture is worse than none."""
    feedback = {
        "A": "Both have the same size, and its loss with the right picture is far lower.",
        "B": "It has learned to trust the picture and is sure of what it reads there. A sure mistake costs many nats.",
        "C": "Words before the current one are the true ones in all three cases.",
        "D": "The captions are the same in all three cases; only the picture is exchanged.",
    }
    return check_choice("06c worse than blind", answer, "B", feedback)


def check_06d(answer: float | None) -> CheckResult:
    """Caption loss of the trained decoder with the features of the upper two rows of patches alone."""
    causes = {
        "that is the loss with all sixteen features": (0.82, 0.822),
        "that is one row of patches; two are asked for": (1.28, 1.281),
        "that is the loss without any feature; which slice did you take?": (2.23, 2.231),
        "that is the loss beside another picture": (1.59, 1.593),
    }
    hints = {value: cause for cause, values in causes.items() for value in values}
    return check_number("06d half of the picture", answer, 1.02, 1.11, hints)
