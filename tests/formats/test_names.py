"""The three tables against one another, by replacements of text that were written down apart from them."""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.formats.names import APPLE, TIMM, TRANSFORMERS, from_theirs, to_theirs
from tests.formats.encoders import FIXED, NATIVE, wide_encoder

# As the released converter of timm goes from Apple's names to its own, in this order.
APPLE_TO_TIMM = (
    ("norm_1", "norm1"),
    ("norm_2", "norm2"),
    ("preprocessor.patchifier.", "patch_embed."),
    ("preprocessor.pos_embed", "pos_embed"),
    ("trunk.", ""),
    ("post_trunk_norm.", "norm."),
    ("mlp.fc1", "mlp.fc1_g"),
    ("mlp.fc3", "mlp.fc1_x"),
)
TRANSFORMERS_TO_TIMM = (
    ("embeddings.patch_embed.", "patch_embed.proj."),
    ("embeddings.rms_norm.", "patch_embed.norm."),
    ("embeddings.position_embedding.weight", "pos_embed"),
    ("encoder.layers.", "blocks."),
    ("attention.qkv", "attn.qkv"),
    ("attention.out_proj", "attn.proj"),
    ("ffn.gate_proj", "mlp.fc1_g"),
    ("ffn.up_proj", "mlp.fc1_x"),
    ("ffn.down_proj", "mlp.fc2"),
    (".rms_norm1.", ".norm1."),
    (".rms_norm2.", ".norm2."),
    ("rms_norm.", "norm."),
)


def renamed(state: dict[str, Tensor], replacements: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    found = {}
    for name, tensor in state.items():
        for old, new in replacements:
            name = name.replace(old, new)
        found[name] = tensor
    return found


def fused(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """transformers' q, k and v as one matrix."""
    joined = {}
    for name, tensor in state.items():
        if ".q_proj." in name:
            rows = [state[name.replace("q_proj", f"{letter}_proj")] for letter in "qkv"]
            joined[name.replace("q_proj", "qkv")] = torch.cat(rows)
        elif ".k_proj." not in name and ".v_proj." not in name:
            joined[name] = tensor
    return joined


def test_the_tables_say_the_same_of_every_tensor() -> None:
    state = wide_encoder(FIXED).state_dict()
    timm = to_theirs(state, TIMM)
    for other in (
        renamed(to_theirs(state, APPLE), APPLE_TO_TIMM),
        renamed(fused(to_theirs(state, TRANSFORMERS)), TRANSFORMERS_TO_TIMM),
    ):
        assert other.keys() == timm.keys()
        assert all(torch.equal(other[name].view_as(timm[name]), timm[name]) for name in timm)
    assert timm["pos_embed"].shape == to_theirs(state, APPLE)["preprocessor.pos_embed"].shape == (1, 16, 64)


def test_the_head_has_the_released_names_and_shapes() -> None:
    encoder = wide_encoder(NATIVE, head=True)
    heads = [
        {name: tensor for name, tensor in to_theirs(encoder.state_dict(), names).items() if name.startswith("head.")}
        for names in (APPLE, TRANSFORMERS)
    ]
    shapes = [{name: tuple(tensor.shape) for name, tensor in head.items()} for head in heads]
    for head, matrix, linear in zip(shapes, ("{}", "{}_proj"), ("linear", "output_proj"), strict=True):
        matrices = {f"head.{matrix.format(letter)}.weight": (64, 64) for letter in "kv"}
        query = {"head.cls_token": (1, 1, 64)}
        assert head == {**query, **matrices, f"head.{linear}.weight": (64, 64), f"head.{linear}.bias": (64,)}
    assert torch.equal(heads[0]["head.v.weight"], heads[1]["head.v_proj.weight"])
    assert encoder.head is not None
    assert torch.equal(heads[0]["head.k.weight"], encoder.head.pooling.keys_values.weight[:64])


def test_there_and_back_is_the_identity_and_a_copy() -> None:
    for names in (APPLE, TIMM, TRANSFORMERS):
        encoder = wide_encoder(FIXED, head=names is not TIMM)
        ours = encoder.state_dict()
        theirs = to_theirs(ours, names)
        assert len(theirs) == {"Apple's code": 31, "timm": 26, "transformers": 37}[names.library]
        returned = from_theirs(theirs, ours, names)
        assert returned.keys() == ours.keys() and all(torch.equal(returned[name], ours[name]) for name in ours)
        assert not {tensor.data_ptr() for tensor in theirs.values()} & {tensor.data_ptr() for tensor in ours.values()}
