"""Plausible wrong answers to the exercise of notebook 00."""

from __future__ import annotations

from typing import Any

WRONG: dict[str, dict[str, Any]] = {
    "00a": {
        "one side": lambda image_size, patch_size: image_size // patch_size,
        "a class token": lambda image_size, patch_size: (image_size // patch_size) ** 2 + 1,
        "pixels": lambda image_size, patch_size: image_size**2,
        "values in a patch": lambda image_size, patch_size: 3 * patch_size**2,
    },
}
