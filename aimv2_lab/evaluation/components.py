"""Principal components of patch features, and a denser map of them than the patches' own grid."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from aimv2_lab.evaluation.features import frozen_features
from aimv2_lab.model.encoder import VisionEncoder


class Components(NamedTuple):
    """The directions of largest variance: `mean` (D,), `directions` (C, D) of length 1, largest first; `deviations`
    (C,) along them; `shares` (C,) of the whole variance."""

    mean: Tensor
    directions: Tensor
    deviations: Tensor
    shares: Tensor

    def project(self, features: Tensor) -> Tensor:
        """Coordinates (…, C) of features (…, D)."""
        return (features - self.mean) @ self.directions.T


def fit_components(features: Tensor, count: int = 3) -> Components:
    """The first `count` components of features (…, D), all rows together.

    A direction's sign is free; here its largest entry is positive, so that two runs agree.
    """
    rows = features.reshape(-1, features.shape[-1]).double()
    mean = rows.mean(dim=0)
    variances, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean) / (len(rows) - 1))
    largest = vectors.T.flip(0)[:count]
    signs = largest.gather(1, largest.abs().argmax(dim=1, keepdim=True)).sign()
    variances = variances.flip(0).clamp(min=0)
    found = (mean, largest * signs, variances[:count].sqrt(), variances[:count] / variances.sum())
    return Components(*(part.float() for part in found))


def dense_features(encoder: VisionEncoder, images: Tensor, stride: int) -> Tensor:
    """Features (B, height / stride, width / stride, D) of patches centred on every `stride`-th pixel's corner.

    The picture, its edge pixels repeated outwards by half a patch, is shifted under the patch grid, encoded at every
    shift, and the features are put where their patches were. Raises ValueError unless stride divides the patch size.
    """
    size = encoder.recipe.patch_size
    if stride < 1 or size % stride:
        raise ValueError(f"stride {stride} must divide the patch size {size}")
    height, width, steps = images.shape[-2], images.shape[-1], size // stride
    framed = functional.pad(images, (size // 2,) * 4, mode="replicate")
    shifts = [(down, right) for down in range(0, size, stride) for right in range(0, size, stride)]
    views = torch.cat([framed[..., down : down + height, right : right + width] for down, right in shifts])
    pattern = "(down right b) (rows columns) d -> b (rows down) (columns right) d"
    features = frozen_features(encoder, views)
    return rearrange(features, pattern, down=steps, right=steps, rows=height // size)


def explained_share(values: Tensor, labels: Tensor) -> float:
    """How much of the variance of values (…, C) lies between the groups that labels (…) name, 0 … 1."""
    rows, groups = values.reshape(-1, values.shape[-1]).double(), labels.flatten()
    centred = rows - rows.mean(dim=0)
    _, numbers, sizes = groups.unique(return_inverse=True, return_counts=True)
    sums = torch.zeros(len(sizes), rows.shape[1], dtype=rows.dtype).index_add_(0, numbers, centred)
    return ((sums.square() / sizes[:, None]).sum() / centred.square().sum()).item()


def to_colours(values: Tensor, cut: float = 0.02) -> Tensor:
    """Three components (…, 3) as colours in 0 … 1, each stretched between its `cut` and 1 - `cut` quantile.

    Pass all pictures at once: colours of pictures stretched one by one cannot be compared.
    """
    low, high = (values.reshape(-1, 3).quantile(share, dim=0) for share in (cut, 1 - cut))
    return ((values - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
