"""The step as a trainer writes it straight over transformers' AIMv2: what benchmarks/step.py compares ours with.

Frozen: it is to be compared with, not to be improved. Its encoder is `transformers.Aimv2VisionModel` (norms spelled
out, q, k and v apart), its decoder a stack of the same layers; masks are dense and expanded to the heads, every text
slot gets its logits, and AdamW goes over the tensors one by one. What costs such a trainer nothing is done well:
torch's scaled dot-product attention, masks built once per forward pass, captions padded to the longest of the batch and
no further, gradients set to None, no copies, no waiting for a GPU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Aimv2VisionConfig, Aimv2VisionModel
from transformers.models.aimv2.modeling_aimv2 import Aimv2EncoderLayer, Aimv2RMSNorm

from aimv2_lab.data.batches import Batch
from aimv2_lab.formats.huggingface import encoder_to_transformers, transformers_config
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import Recipe
from aimv2_lab.training.optimizers.building import learning_rate

NO_LOSS = -100  # the label that cross_entropy leaves out


class PlainModel(nn.Module):
    """Encoder and decoder with the weights of one of our models."""

    def __init__(self, model: AIMv2) -> None:
        super().__init__()
        recipe, decoder = model.recipe, model.decoder
        self.heads, self.patch_size = recipe.decoder.heads, recipe.encoder.patch_size
        self.encoder_heads = recipe.encoder.heads
        self.encoder = Aimv2VisionModel(Aimv2VisionConfig(**transformers_config(recipe)))
        self.encoder.load_state_dict(encoder_to_transformers(model.encoder))
        config = Aimv2VisionConfig(
            hidden_size=recipe.decoder.width,
            intermediate_size=recipe.decoder.hidden,
            num_attention_heads=recipe.decoder.heads,
            rms_norm_eps=recipe.decoder.norm_eps,
        )
        config._attn_implementation = "sdpa"  # as from_pretrained and the model itself choose it
        self.layers = nn.ModuleList(Aimv2EncoderLayer(config) for _ in range(recipe.decoder.depth))
        self.norm = Aimv2RMSNorm(recipe.decoder.width, recipe.decoder.norm_eps)
        self.projection = nn.Linear(recipe.encoder.width, recipe.decoder.width)
        self.start = nn.Parameter(decoder.start.detach().clone())
        self.token_table = nn.Embedding(recipe.decoder.vocabulary, recipe.decoder.width)
        self.text_positions = nn.Parameter(decoder.text_positions.detach().clone())
        self.pixel_head = nn.Linear(recipe.decoder.width, recipe.encoder.patch_values, bias=False)
        self.text_head = nn.Linear(recipe.decoder.width, recipe.decoder.vocabulary, bias=False)
        self._copy(decoder)

    def forward(self, images: Tensor, tokens: Tensor, prefix_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, I, K) and logits (B, T, V)."""
        features = self.encoder(images, attention_mask=self._prefix_mask(images, prefix_lengths)).last_hidden_state
        batch, patches = features.shape[:2]
        text = torch.cat([self.start.expand(batch, 1, -1), self.token_table(tokens[:, :-1])], dim=1)
        hidden = torch.cat([self.projection(features), text + self.text_positions[: tokens.shape[1]]], dim=1)
        length = hidden.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool, device=hidden.device).tril()
        mask = mask.expand(batch, self.heads, length, length)
        for layer in self.layers:
            hidden = layer(hidden, mask)
        hidden = self.norm(hidden)
        return self.pixel_head(hidden[:, :patches]), self.text_head(hidden[:, patches:])

    def _prefix_mask(self, images: Tensor, prefix_lengths: Tensor) -> Tensor:
        patches = (images.shape[-1] // self.patch_size) ** 2
        columns = torch.arange(patches, device=images.device)
        mask = (columns[None, :] <= columns[:, None])[None] | (columns < prefix_lengths[:, None])[:, None]
        return mask[:, None].expand(-1, self.encoder_heads, -1, -1)

    def _copy(self, decoder: nn.Module) -> None:
        """The decoder's weights, q, k and v as three."""
        ours = decoder.state_dict()
        names = {"norm": "norm", "projection": "projection", "token_table": "token_table"}
        names |= {"pixel_head": "pixel_head", "text_head": "text_head"}
        in_a_block = {"attention_norm": "rms_norm1", "attention.out": "attention.out_proj"}
        in_a_block |= {"feed_forward_norm": "rms_norm2"} | {
            f"feed_forward.{part}": f"ffn.{part}_proj" for part in ("gate", "up", "down")
        }
        for index in range(len(self.layers)):
            names |= {f"blocks.{index}.{mine}": f"layers.{index}.{theirs}" for mine, theirs in in_a_block.items()}
        theirs = self.state_dict()
        for mine, name in names.items():
            for kind in ("weight", "bias"):
                if f"{mine}.{kind}" in ours:
                    theirs[f"{name}.{kind}"].copy_(ours[f"{mine}.{kind}"])
        for index in range(len(self.layers)):
            parts = ours[f"blocks.{index}.attention.qkv.weight"].chunk(3)
            for part, weight in zip(("q_proj", "k_proj", "v_proj"), parts, strict=True):
                theirs[f"layers.{index}.attention.{part}.weight"].copy_(weight)


def plain_loss(
    pixels: Tensor, logits: Tensor, images: Tensor, labels: Tensor, prefix_lengths: Tensor, size: int, weight: float
) -> Tensor:
    """Text loss over the labels that count plus the weighted pixel loss behind the prefixes."""
    batch, _, height, width = images.shape
    grid = images.view(batch, 3, height // size, size, width // size, size)
    patches = grid.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, 3 * size * size)[:, 1:]
    mean, variance = patches.mean(dim=-1, keepdim=True), patches.var(dim=-1, keepdim=True)
    target = (patches - mean) / (variance + 1e-6).sqrt()
    errors = (pixels[:, :-1].float() - target).pow(2).mean(dim=-1)
    counted = torch.arange(errors.shape[1], device=images.device) >= prefix_lengths[:, None] - 1
    pixel = (errors * counted).sum() / counted.sum()
    text = functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=NO_LOSS)
    return text + weight * pixel


def _decays(name: str, parameter: Tensor) -> bool:
    return parameter.ndim > 1 and "position" not in name


class PlainTrainer:
    """Model, optimiser and step; the whole model compiled, or as it is."""

    def __init__(self, model: AIMv2, recipe: Recipe, device: torch.device, compiled: bool = False) -> None:
        self.recipe, self.device, self.steps_done = recipe, device, 0
        self.model = PlainModel(model).to(device).train()
        named = list(self.model.named_parameters())
        training = recipe.training
        groups = [
            {
                "params": [p for n, p in named if _decays(n, p)],
                "weight_decay": training.weight_decay / training.peak_lr,
            },
            {"params": [p for n, p in named if not _decays(n, p)], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, betas=training.betas, eps=training.adam_eps, foreach=False)
        self.forward = torch.compile(self.model) if compiled else self.model

    def step(self, batch: Batch) -> Tensor:
        """Forward, backward, clip, update; returns the loss."""
        labels = batch.tokens.masked_fill(~batch.counted.to(self.device), NO_LOSS)
        half = self.recipe.training.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            pixels, logits = self.forward(batch.images, batch.tokens, batch.prefix_lengths)
        size, weight = self.recipe.encoder.patch_size, self.recipe.objective.pixel_weight
        loss = plain_loss(pixels, logits, batch.images, labels, batch.prefix_lengths, size, weight)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.training.gradient_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.steps_done, self.recipe.training)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps_done += 1
        return loss.detach()
