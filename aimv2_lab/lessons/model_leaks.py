"""The leak meter on the whole objective: patches and tokens in, pixel and text outputs out, in one matrix."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call

from aimv2_lab.lessons.leak import leak_matrix
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.decoder import Predictions
from aimv2_lab.model.masks import causal_mask, prefix_mask
from aimv2_lab.model.objective import counted_outputs


def model_leaks(model: AIMv2, images: Tensor, tokens: Tensor, prefix_length: int) -> Tensor:
    """Absolute gradients (I + T outputs, I + T inputs): pixel then text outputs, patches then tokens.

    Images (B, 3, height, width); tokens (T,), all different, are the caption of each image. Raises ValueError for a
    token that occurs twice: the meter watches the rows of the token table, and could not tell the two apart.
    """
    if len(tokens.unique()) != len(tokens):
        raise ValueError(f"tokens {tokens.tolist()} are not all different; the meter cannot tell equal ones apart")
    captions = tokens.expand(len(images), -1)
    lengths = torch.full((len(images),), prefix_length)
    table = model.decoder.token_table.weight[None]

    def from_rows(rows: Tensor) -> Predictions:
        said = functional_call(model, {"decoder.token_table.weight": rows[0]}, (images, captions, lengths))
        return Predictions(said.pixels.sum(dim=0, keepdim=True), said.logits.sum(dim=0, keepdim=True))

    size = model.recipe.encoder.patch_size
    of_patches = [
        leak_matrix(lambda pictures: model(pictures, captions, lengths).pixels, images, size),
        leak_matrix(lambda pictures: model(pictures, captions, lengths).logits, images, size),
    ]
    of_rows = [
        leak_matrix(lambda rows: from_rows(rows).pixels, table),
        leak_matrix(lambda rows: from_rows(rows).logits, table),
    ]
    return torch.cat([torch.cat(of_patches), torch.cat(of_rows)[:, tokens]], dim=1)


def allowed_in_model(prefix_length: int, patches: int, tokens: int) -> Tensor:
    """What may be connected (I + T, I + T), True = may.

    A counted pixel output sees no patch after its own; an uncounted one may see the whole prefix; neither sees text.
    A text output sees the whole picture and the tokens before its own.
    """
    length = torch.tensor([prefix_length])
    uncounted = torch.cat([~counted_outputs(length, patches)[0], torch.tensor([False])])
    pixels = causal_mask(patches) | (uncounted[:, None] & prefix_mask(length, patches)[0, 0])
    before = causal_mask(tokens).tril(diagonal=-1)
    upper = torch.cat([pixels, torch.zeros(patches, tokens, dtype=torch.bool)], dim=1)
    return torch.cat([upper, torch.cat([torch.ones(tokens, patches, dtype=torch.bool), before], dim=1)])
