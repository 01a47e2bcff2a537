"""LoRA on an encoder through peft, and plain weights out of it without peft."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import FinetuneRecipe

LAYERS = ("qkv", "out", "gate", "up", "down")  # every linear layer of a block; AIM v1's MLP has no gate
_BASE, _FIRST, _SECOND = ".base_layer.weight", ".lora_A.default.weight", ".lora_B.default.weight"  # peft's names


def add_adapters(encoder: VisionEncoder, recipe: FinetuneRecipe) -> None:
    """Freeze an encoder and give every linear layer of its blocks an adapter, in place; draws from torch's generator.

    The second matrix starts at zero, so that nothing is changed yet. Raises ImportError where peft is missing.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ImportError(
            "method = 'lora' needs peft: pip install 'aimv2_lab[finetune]', or use method full"
        ) from error
    config = LoraConfig(r=recipe.lora_rank, lora_alpha=recipe.lora_alpha, target_modules=list(LAYERS))
    inject_adapter_in_model(config, encoder)


def merged(weights: Mapping[str, Tensor], recipe: FinetuneRecipe) -> dict[str, Tensor]:
    """Weights by name with every adapter added to its layer, W + alpha / rank * B A; those without adapters as they
    are."""
    scale = recipe.lora_alpha / recipe.lora_rank
    plain = {name: weight for name, weight in weights.items() if ".lora_" not in name and not name.endswith(_BASE)}
    for name in weights:
        if name.endswith(_BASE):
            layer = name.removesuffix(_BASE)
            plain[f"{layer}.weight"] = weights[name] + scale * weights[layer + _SECOND] @ weights[layer + _FIRST]
    return plain
