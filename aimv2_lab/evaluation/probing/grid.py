"""Many probes in one model: they read the same features and share no weight."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aimv2_lab.evaluation.padded import Padded
from aimv2_lab.evaluation.probe import AttentiveProbe, LinearProbe


class ProbeGrid(nn.Module):
    """`cells` probes over one set of features, all of which begin as `probe` is.

    Cell c is for the task `tasks[c]`, whose classes are the first `class_counts[tasks[c]]`; the scores of classes
    beyond are minus infinity. The batch norm has no weights and is shared.

    A query's product with all keys is computed without the keys: query · (K x) = (Kᵀ query) · x, and values are pooled
    before they are projected. So a cell costs little beside reading the features; results are those of
    `AttentiveProbe` to rounding.
    """

    def __init__(
        self, probe: AttentiveProbe | LinearProbe, tasks: Sequence[int], class_counts: Sequence[int] = ()
    ) -> None:
        super().__init__()
        classes, width = probe.classifier.weight.shape
        self.norm = nn.BatchNorm1d(width, affine=False, eps=probe.norm.eps)
        self.heads = probe.pooling.heads if isinstance(probe, AttentiveProbe) else 0
        self.weights = nn.ParameterDict(
            {name.replace(".", "_"): self._repeated(value, len(tasks)) for name, value in probe.named_parameters()}
        )
        self.register_buffer("tasks", torch.tensor(tasks), persistent=False)
        beyond = (
            torch.arange(classes) >= torch.tensor([list(class_counts or [classes])[task] for task in tasks])[:, None]
        )
        self.register_buffer("beyond", beyond[:, None], persistent=False)

    @staticmethod
    def _repeated(value: Tensor, cells: int) -> nn.Parameter:
        return nn.Parameter(value.detach().expand(cells, *value.shape).clone())

    @property
    def cells(self) -> int:
        """C, how many probes there are."""
        return len(self.weights["classifier_weight"])

    def forward(self, features: Tensor | Padded) -> Tensor:
        """Scores (C, B, classes) of patch features (B, I, D), or for linear probes of pooled ones (B, D).

        Of pictures of many sizes, padding is in no mean of the batch norm, and no query takes anything from it.
        """
        real = None
        if isinstance(features, Padded):
            normed, real = Padded.of(self.norm(features.patches), features.patch_counts).features, features.real
        else:
            normed = self.norm(features.flatten(0, -2)).view_as(features)
        pooled = self._pooled(normed, real) if self.heads else normed.expand(self.cells, *normed.shape)
        scores = pooled @ self.weights["classifier_weight"].mT
        if "classifier_bias" in self.weights:
            scores = scores + self.weights["classifier_bias"][:, None]
        return scores.masked_fill(self.get_buffer("beyond"), -torch.inf)

    def _pooled(self, normed: Tensor, real: Tensor | None) -> Tensor:
        """What each cell's query gathers (C, B, D) from features (B, I, D), all of them or the `real` (B, I) ones."""
        batch, patches, width = normed.shape
        cells, heads, head_width = self.cells, self.heads, width // self.heads
        query = self.weights["pooling_query"].view(cells * heads, 1, head_width)
        # (C, 2, H, d, D): keys, then values, as AttentivePooling lays them out.
        keys, values = self.weights["pooling_keys_values_weight"].view(cells, 2, heads, head_width, width).unbind(1)
        directions = (query @ keys.reshape(-1, head_width, width))[:, 0] * head_width**-0.5
        # The softmax runs over the last axis of (B, C * H, I).
        attention = (normed.flatten(0, 1) @ directions.mT).view(batch, patches, -1).mT
        if real is not None:
            attention = attention.masked_fill(~real[:, None], -torch.inf)
        attention = attention.softmax(dim=-1)  # the same name, so that what it is of can be forgotten
        gathered = (attention @ normed).transpose(0, 1)  # (C * H, B, D)
        projected = gathered @ values.reshape(-1, head_width, width).mT
        return projected.view(cells, heads, batch, head_width).transpose(1, 2).reshape(cells, batch, width)
