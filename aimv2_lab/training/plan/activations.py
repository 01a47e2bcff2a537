"""What a step keeps for its backward pass, per picture, counted on models one block deep."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from aimv2_lab.model.models import model_of
from aimv2_lab.recipes import AIMv1Recipe, PretrainingRecipe
from aimv2_lab.training.plan.estimate import kept_for_backward


class Kept(NamedTuple):
    """Bytes kept: `fixed` once for any micro-batch (bfloat16 copies of float32 weights), the rest for every picture."""

    fixed: int
    per_picture: int

    def plus(self, other: Kept, times: int = 1) -> Kept:
        """Both together, the other so many times."""
        return Kept(self.fixed + times * other.fixed, self.per_picture + times * other.per_picture)


class Activations(NamedTuple):
    """What is kept as the model stands, and where blocks keep their input alone and run again, one at a time."""

    whole: Kept
    recomputed: Kept


class _FusedNorm(torch.autograd.Function):
    """Keeps what CUDA's fused RMSNorm keeps, its input; nothing is computed."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.empty_like(x)


class _FusedRMSNorm(nn.Module):
    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        return _FusedNorm.apply(x, self.weight)


class _Stack(NamedTuple):
    """Equal blocks, one after the other."""

    depth: int
    block: Kept
    stream: int  # bytes of what enters a block, per picture
    passing: int  # of what its backward pass makes on its way, as wide as its feed-forward layer, per picture


def count_activations(
    recipe: PretrainingRecipe, text_tokens: int | None = None, fused_norms: bool = True
) -> Activations:
    """What a step of this recipe keeps, eager, whatever its micro-batch; captions as in `predict_memory`.

    With `fused_norms` as CUDA's kernels do, else as torch's on the CPU. Attention keeps no square of tokens but the
    prefix mask, which torch turns into a bias for every block anew. A compiled step keeps less.
    """
    tokens = recipe.text_tokens if text_tokens is None else text_tokens
    depths = _depths(recipe)
    shallow = {path: min(depth, 1) for path, depth in depths.items()}
    least = rest = _count(recipe, shallow, tokens, fused_norms)
    stacks = []
    for path in [path for path, depth in depths.items() if depth]:
        block = _count(recipe, {**shallow, path: 2}, tokens, fused_norms).plus(least, -1)
        rest = rest.plus(block, -1)
        stream = _stream(recipe, path, tokens)
        block = block.plus(_mask(recipe, path))
        stacks.append(_Stack(depths[path], block, stream, round(stream * _hidden_by_width(recipe, path))))
    rest = rest.plus(_logit_gradients(recipe, tokens))
    whole = recomputed = rest
    for stack in stacks:
        whole = whole.plus(stack.block, stack.depth)
        recomputed = recomputed.plus(Kept(stack.block.fixed, stack.stream), stack.depth)
    largest = max((stack.block.per_picture + stack.passing for stack in stacks), default=0)
    return Activations(whole, recomputed.plus(Kept(0, largest)))


def _depths(recipe: PretrainingRecipe) -> dict[str, int]:
    """Recipe field -> depth, for every stack of blocks."""
    if isinstance(recipe, AIMv1Recipe):
        return {"encoder.depth": recipe.encoder.depth, "head.depth": recipe.head.depth}
    return {"encoder.depth": recipe.encoder.depth, "decoder.depth": recipe.decoder.depth}


def _count(recipe: PretrainingRecipe, depths: dict[str, int], tokens: int, fused_norms: bool) -> Kept:
    """What a model of these depths keeps; two batch sizes tell apart what is kept once and what for every picture."""
    shallow = recipe.change(depths)
    with torch.device("meta"):
        model = model_of(shallow)
    if fused_norms:
        _fuse_norms(model)
    if recipe.engine.weights == "bfloat16":
        model.bfloat16()
    # not one: a single picture's tensors need no copy to be laid out otherwise
    two, three = (kept_for_backward(model, shallow, batch, tokens) for batch in (2, 3))
    return Kept(three - 3 * (three - two), three - two)


def _fuse_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.RMSNorm):
            setattr(module, name, _FusedRMSNorm(child.weight))
        else:
            _fuse_norms(child)


def _mask(recipe: PretrainingRecipe, path: str) -> Kept:
    """The bias that a block of the encoder keeps in place of the prefix mask, which the heads share."""
    masked = path == "encoder.depth" and recipe.objective.encoder_attention != "bidirectional"
    return Kept(0, masked * recipe.encoder.patches**2 * (2 if recipe.training.precision == "bfloat16" else 4))


def _stream(recipe: PretrainingRecipe, path: str, tokens: int) -> int:
    width = recipe.encoder.width
    slots = recipe.encoder.patches
    if path != "encoder.depth":
        width = recipe.head.width if isinstance(recipe, AIMv1Recipe) else recipe.decoder.width
        slots += tokens
    return slots * width * (2 if recipe.engine.weights == "bfloat16" else 4)


def _hidden_by_width(recipe: PretrainingRecipe, path: str) -> float:
    """How many times wider than the stream a block's feed-forward layer is."""
    if path == "encoder.depth":
        return recipe.encoder.hidden / recipe.encoder.width
    return 4.0 if isinstance(recipe, AIMv1Recipe) else recipe.decoder.hidden / recipe.decoder.width


def _logit_gradients(recipe: PretrainingRecipe, tokens: int) -> Kept:
    """The gradient of the float32 logits, which is made while everything else is still there."""
    return Kept(0, 0 if isinstance(recipe, AIMv1Recipe) else 4 * tokens * recipe.decoder.vocabulary)
