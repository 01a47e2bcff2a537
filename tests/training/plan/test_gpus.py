"""Which kind of GPU is at hand, by the name and the memory that CUDA gives."""

from __future__ import annotations

import pytest

from aimv2_lab.training.plan.gpus import GPUS, gpu_at_hand


@pytest.mark.parametrize(
    ("name", "gib", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", 79.2, "h100"),
        ("NVIDIA H100 PCIe", 79.1, "h100-pcie"),
        ("NVIDIA H200", 139.8, "h200"),
        ("NVIDIA A100-SXM4-80GB", 79.2, "a100"),
        ("NVIDIA A100-SXM4-40GB", 39.4, "a100-40gb"),
        ("NVIDIA B200", 178.4, "b200"),
        ("NVIDIA L40S", 44.4, "l40s"),
        ("NVIDIA GeForce RTX 4090", 23.6, None),
    ],
)
def test_the_kind_is_known_by_its_name(name: str, gib: float, kind: str | None) -> None:
    assert gpu_at_hand(name, gib * 2**30) == (GPUS[kind] if kind else None)
