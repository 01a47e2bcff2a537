"""Who may look at whom: the prefix mask of the encoder and the causal mask of the decoder.

A mask is boolean, True where query (row) may attend to key (column). The prefix length M of an image lies in
1 … I-1: M = 1 is plain causal attention, and I would leave nothing to predict.
"""

from __future__ import annotations

import torch
from torch import Tensor


def causal_mask(tokens: int, device: torch.device | None = None) -> Tensor:
    """The lower triangle (T, T): query i sees key j iff j <= i."""
    return torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()


def prefix_mask(prefix_lengths: Tensor, patches: int) -> Tensor:
    """One mask per image (B, 1, I, I) from prefix lengths (B,): query i sees key j iff j <= i or j < M.

    The second axis is for the heads, which share the mask. Source: paper, section 2.2; rule from the released code.
    """
    in_prefix = torch.arange(patches, device=prefix_lengths.device) < prefix_lengths[:, None]  # (B, I), over keys
    return (causal_mask(patches, prefix_lengths.device) | in_prefix[:, None, :])[:, None]


def parallel_mask(parallel: Tensor, patches: int, tokens: int) -> Tensor:
    """One mask per pair (B, 1, I + T, I + T) for a sequence of patches, then text: causal, but that the text slots of
    the captions that `parallel` (B,) names all see each other.

    Source: CapPa (arXiv 2306.07915), which has no causal mask where it predicts all tokens at once.
    """
    slots = patches + tokens
    in_text = torch.arange(slots, device=parallel.device) >= patches
    among_text = in_text[:, None] & in_text[None, :]
    return (causal_mask(slots, parallel.device) | (parallel[:, None, None] & among_text))[:, None]


def check_prefix_lengths(prefix_lengths: Tensor, batch: int, patches: int | Tensor) -> None:
    """Raise ValueError unless there is one whole prefix length in 1 … I-1 per image, where I is the same for all or
    each image's own (B,).

    Values on an accelerator are checked there, without waiting for them: an assertion fails the kernel instead.
    """
    whole = not (
        prefix_lengths.is_floating_point() or prefix_lengths.is_complex() or prefix_lengths.dtype == torch.bool
    )
    if prefix_lengths.shape != (batch,) or not whole:
        raise ValueError(
            f"prefix_lengths must be {batch} integers, one per image, not {prefix_lengths.dtype} of shape "
            f"{tuple(prefix_lengths.shape)}"
        )
    inside = (prefix_lengths >= 1) & (prefix_lengths < patches)
    if prefix_lengths.device.type != "cpu":
        most = "I - 1" if isinstance(patches, Tensor) else patches - 1
        torch._assert_async(inside.all(), f"a prefix length lies outside 1 … {most}")
        return
    if not inside.all():
        image = int((~inside).nonzero()[0, 0])
        patches = int(patches[image]) if isinstance(patches, Tensor) else patches
        raise ValueError(
            f"prefix length {int(prefix_lengths[image])} of image {image} lies outside 1 … {patches - 1} ({patches} "
            "patches); for a fully visible image pass prefix_lengths=None"
        )
