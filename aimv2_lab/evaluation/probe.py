"""The attentive probe: what a single learned query can read off frozen features."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from aimv2_lab.evaluation.padded import Padded
from aimv2_lab.model.pooling import AttentivePooling


class AttentiveProbe(nn.Module):
    """One learned query attends to the patches; a linear classifier reads the result.

    Batch norm without scale or shift in front, keys and values without biases, no query or output projection. Source:
    AIM v1's released probe; AIMv2 (Table A2) names an attentive probe on the last layer and gives no details.
    """

    def __init__(self, width: int, heads: int, classes: int, bias: bool = True) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, affine=False, eps=1e-6)
        self.pooling = AttentivePooling(width, heads)
        self.classifier = nn.Linear(width, classes, bias=bias)

    def forward(self, features: Tensor | Padded) -> Tensor:
        """Logits (B, classes) of features (B, I, D), or of those of pictures of many sizes, without their padding."""
        if isinstance(features, Padded):
            padded = Padded.of(self.norm(features.patches), features.patch_counts)
            return self.classifier(self.pooling(padded.features, padded.real))
        normed = rearrange(self.norm(rearrange(features, "b i d -> b d i")), "b d i -> b i d")
        return self.classifier(self.pooling(normed))


class LinearProbe(nn.Module):
    """A linear classifier of pooled features, behind the attentive probe's batch norm, which is our choice."""

    def __init__(self, width: int, classes: int, bias: bool = True) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, affine=False, eps=1e-6)
        self.classifier = nn.Linear(width, classes, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, classes) of pooled features (B, D)."""
        return self.classifier(self.norm(features))


def train_probe(
    features: Tensor, labels: Tensor, classes: int, heads: int, seed: int = 0, epochs: int = 30, peak_lr: float = 1e-3
) -> AttentiveProbe:
    """Fit a probe to features (N, I, D) and labels (N,): AdamW, one-cycle rate, batches of 128, weight decay 0.05.

    The settings are our choice for small feature sets; the paper sweeps rate and decay for every model (Table A2).
    """
    draws = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = AttentiveProbe(features.shape[-1], heads, classes)
    batch_size = min(128, len(features))
    steps = epochs * (len(features) // batch_size)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=peak_lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_lr, total_steps=steps)
    for _ in range(epochs):
        shuffled = torch.randperm(len(features), generator=draws)
        for rows in shuffled.split(batch_size)[: len(features) // batch_size]:
            functional.cross_entropy(probe(features[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
    return probe.eval()


@torch.no_grad()
def accuracy(probe: AttentiveProbe, features: Tensor, labels: Tensor) -> float:
    """The share of features (N, I, D) whose likeliest class is the label (N,)."""
    return (probe(features).argmax(dim=-1) == labels).float().mean().item()
