"""What other libraries call the encoder's weights: one table each, and the renaming both ways.

No value changes on the way and nothing is transposed. Two things differ beside the names: where a library has q, k and
v as three matrices, our fused one is cut into three equal slices of rows, and some tensors have a leading dimension of
one more. Positions by sine and cosine are a tensor in none of them. Source: the names of the released code and of the
two libraries.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Names:
    """A library's names of our weights: those around the blocks, what begins a block's, and those in a block.

    Several names for one of our weights are those of its slices of rows. `ones` counts the leading dimensions of one
    that a tensor has there and not here.
    """

    library: str
    around: Mapping[str, tuple[str, ...]]
    block: str
    in_block: Mapping[str, tuple[str, ...]]
    ones: Mapping[str, int] = field(default_factory=dict)

    def theirs(self, ours: str) -> tuple[str, ...]:
        """Their name, or names, of one of our weights; raises KeyError for a weight that the library does not have."""
        inside = re.fullmatch(r"blocks\.(\d+)\.(.+)", ours)
        if inside is None:
            return self.around[ours]
        return tuple(f"{self.block}{inside[1]}.{part}" for part in self.in_block[inside[2]])

    def known(self, theirs: str) -> bool:
        """Whether a tensor has a name that some weight has in this library."""
        inside = re.fullmatch(rf"{re.escape(self.block)}\d+\.(.+)", theirs)
        table, name = (self.in_block, inside[1]) if inside else (self.around, theirs)
        return any(name in parts for parts in table.values())


TRANSFORMERS = Names(
    "transformers",
    {
        "patch_projection.weight": ("embeddings.patch_embed.weight",),
        "patch_projection.bias": ("embeddings.patch_embed.bias",),
        "patch_norm.weight": ("embeddings.rms_norm.weight",),
        "positions": ("embeddings.position_embedding.weight",),
        "norm.weight": ("rms_norm.weight",),
        "head.pooling.query": ("head.cls_token",),
        "head.pooling.keys_values.weight": ("head.k_proj.weight", "head.v_proj.weight"),
        "head.output.weight": ("head.output_proj.weight",),
        "head.output.bias": ("head.output_proj.bias",),
    },
    "encoder.layers.",
    {
        "attention_norm.weight": ("rms_norm1.weight",),
        "attention.qkv.weight": ("attention.q_proj.weight", "attention.k_proj.weight", "attention.v_proj.weight"),
        "attention.out.weight": ("attention.out_proj.weight",),
        "feed_forward_norm.weight": ("rms_norm2.weight",),
        "feed_forward.gate.weight": ("ffn.gate_proj.weight",),
        "feed_forward.up.weight": ("ffn.up_proj.weight",),
        "feed_forward.down.weight": ("ffn.down_proj.weight",),
    },
    {"head.pooling.query": 2},
)

TIMM = Names(
    "timm",
    {
        "patch_projection.weight": ("patch_embed.proj.weight",),
        "patch_projection.bias": ("patch_embed.proj.bias",),
        "patch_norm.weight": ("patch_embed.norm.weight",),
        "positions": ("pos_embed",),
        "norm.weight": ("norm.weight",),
    },
    "blocks.",
    {
        "attention_norm.weight": ("norm1.weight",),
        "attention.qkv.weight": ("attn.qkv.weight",),
        "attention.out.weight": ("attn.proj.weight",),
        "feed_forward_norm.weight": ("norm2.weight",),
        "feed_forward.gate.weight": ("mlp.fc1_g.weight",),
        "feed_forward.up.weight": ("mlp.fc1_x.weight",),
        "feed_forward.down.weight": ("mlp.fc2.weight",),
    },
    {"positions": 1},
)

APPLE = Names(
    "Apple's code",
    {
        "patch_projection.weight": ("preprocessor.patchifier.proj.weight",),
        "patch_projection.bias": ("preprocessor.patchifier.proj.bias",),
        "patch_norm.weight": ("preprocessor.patchifier.norm.weight",),
        "positions": ("preprocessor.pos_embed",),
        "norm.weight": ("trunk.post_trunk_norm.weight",),
        "head.pooling.query": ("head.cls_token",),
        "head.pooling.keys_values.weight": ("head.k.weight", "head.v.weight"),
        "head.output.weight": ("head.linear.weight",),
        "head.output.bias": ("head.linear.bias",),
    },
    "trunk.blocks.",
    {
        "attention_norm.weight": ("norm_1.weight",),
        "attention.qkv.weight": ("attn.qkv.weight",),
        "attention.out.weight": ("attn.proj.weight",),
        "feed_forward_norm.weight": ("norm_2.weight",),
        "feed_forward.gate.weight": ("mlp.fc1.weight",),
        "feed_forward.up.weight": ("mlp.fc3.weight",),
        "feed_forward.down.weight": ("mlp.fc2.weight",),
    },
    {"positions": 1, "head.pooling.query": 2},
)


def to_theirs(ours: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    """Our weights under a library's names, every tensor a copy; raises KeyError for one that the library lacks."""
    theirs: dict[str, Tensor] = {}
    for name, tensor in ours.items():
        parts = names.theirs(name)
        ones = (1,) * names.ones.get(name, 0)
        for part, rows in zip(parts, tensor.chunk(len(parts)), strict=True):
            theirs[part] = rows.reshape(*ones, *rows.shape).clone()
    return theirs


def from_theirs(theirs: Mapping[str, Tensor], wanted: Collection[str], names: Names) -> dict[str, Tensor]:
    """The weights that are wanted, by our names, out of a library's."""
    ours: dict[str, Tensor] = {}
    for name in wanted:
        ones = names.ones.get(name, 0)
        rows = [theirs[part].reshape(theirs[part].shape[ones:]) for part in names.theirs(name)]
        ours[name] = torch.cat(rows) if len(rows) > 1 else rows[0]
    return ours
