"""timm with a torchvision whose compiled part does not load: that of the package index needs a torch with CUDA.

Declaring the two operators that it looks up as it is imported makes the rest work; pictures are resized by Pillow.
"""

from __future__ import annotations

import importlib
import sys

import torch

_kept: list[torch.library.Library] = []  # dropping a library drops its operators


def import_torchvision() -> None:
    """Make `import torchvision`, and so `import timm`, work; raises ImportError where they are not installed."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _kept.append(torch.library.Library("torchvision", "FRAGMENT"))
        for operator in ("nms", "qnms"):
            _kept[0].define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")
