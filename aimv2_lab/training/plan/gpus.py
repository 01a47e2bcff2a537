"""Kinds of GPU: memory and peak rate, from their makers' data sheets."""

from __future__ import annotations

from typing import NamedTuple

from aimv2_lab.fields import unknown_name

# How much of the memory a plan may fill: the rest is for CUDA's context, NCCL, gaps between tensors and this estimate's
# error. Our choice.
USABLE = 0.9


class Gpu(NamedTuple):
    """One kind of GPU."""

    name: str
    memory: float  # bytes, as sold: powers of ten
    peak: float  # bfloat16 FLOP/s of its tensor cores, without sparsity

    @property
    def usable(self) -> float:
        """Bytes that a plan may fill."""
        return USABLE * self.memory


# Data sheets state bfloat16 with sparsity for Hopper and later, which is twice what dense products can reach.
GPUS = {
    "a100-40gb": Gpu("A100 40 GB", 40e9, 312e12),  # NVIDIA A100 data sheet, 2022
    "a100": Gpu("A100 80 GB", 80e9, 312e12),
    "l40s": Gpu("L40S 48 GB", 48e9, 362e12),  # NVIDIA L40S data sheet, 2023: 733 with sparsity
    "h100-pcie": Gpu("H100 PCIe 80 GB", 80e9, 756e12),  # NVIDIA H100 data sheet, 2023: 1,513 with sparsity
    "h100": Gpu("H100 SXM 80 GB", 80e9, 989e12),  # the same: 1,979 with sparsity
    "h200": Gpu("H200 SXM 141 GB", 141e9, 989e12),  # NVIDIA H200 data sheet, 2024: 1,979 with sparsity
    "b200": Gpu("B200 180 GB", 180e9, 2250e12),  # NVIDIA DGX B200 data sheet, 2024: 36 PFLOP/s of 8 with sparsity
}


def gpu_of(kind: str) -> Gpu:
    """The kind of that name; raises UnknownName, a KeyError, with the nearest ones."""
    if kind not in GPUS:
        raise unknown_name("GPU", kind, list(GPUS))
    return GPUS[kind]


def gpu_at_hand(device_name: str, memory: float) -> Gpu | None:
    """The kind that CUDA calls `device_name` and that has `memory` bytes; None for one that is not in the table."""
    words = device_name.lower().replace("-", " ").split()
    kinds = [kind for kind in GPUS if set(kind.split("-")) & set(words)]
    fitting = [kind for kind in kinds if ("pcie" in words) == ("pcie" in kind) and memory <= 1.1 * GPUS[kind].memory]
    return min((GPUS[kind] for kind in fitting), key=lambda gpu: gpu.memory, default=None)
