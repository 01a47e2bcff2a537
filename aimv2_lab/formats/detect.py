"""Whose names the tensors of a file have, and whether they are all there."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import Tensor

from aimv2_lab.formats.names import APPLE, TIMM, TRANSFORMERS, Names

# What stands before the names of an image encoder inside a model with a text tower, and in Apple's training code.
_PREFIXES = {
    TRANSFORMERS.library: ("", "vision_model."),
    APPLE.library: ("", "image_encoder.", "models.image_encoder."),
}
_AIM_V1 = "trunk.blocks.0.norm_1.bias"  # AIMv2's norms have no bias
_OURS = "patch_projection.weight"


class Layout(NamedTuple):
    """A library's names, and what stands before each of them in this file."""

    names: Names
    prefix: str

    def stripped(self, tensors: Mapping[str, Tensor], place: object) -> dict[str, Tensor]:
        """The encoder's tensors without the prefix; those of another tower are left, with a warning."""
        inside = {name.removeprefix(self.prefix): x for name, x in tensors.items() if name.startswith(self.prefix)}
        left = [name for name in tensors if not name.startswith(self.prefix)]
        if left:
            warnings.warn(
                f"{place}: the image encoder alone is read, not the {len(left)} other tensors ({_some(left)})",
                stacklevel=2,
            )
        return inside


def find_layout(tensors: Iterable[str], place: object) -> Layout:
    """The library whose names most tensors have.

    Raises ValueError, naming some of the tensors, where no name is known, for our own without their recipe, and for AIM
    v1's trunk, which is not read from other formats.
    """
    present = [*tensors]
    layouts = [
        Layout(names, prefix) for names in (TRANSFORMERS, TIMM, APPLE) for prefix in _PREFIXES.get(names.library, ("",))
    ]
    best = max(layouts, key=lambda layout: _count(layout, present))
    if any(name.endswith(_AIM_V1) for name in present):
        raise ValueError(f"{place} holds AIM v1's trunk ({_AIM_V1}), which is read from our own checkpoints alone")
    if any(name.endswith(_OURS) for name in present):
        raise ValueError(
            f"{place} has our own names: name the folder that holds recipe.json beside it, or the run folder"
        )
    if not _count(best, present):
        raise ValueError(
            f"{place}: none of its {len(present)} tensors ({_some(present)}) has a name that AIMv2's encoder has in "
            "transformers, timm or Apple's code"
        )
    return best


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], place: object, whose: str) -> None:
    """Raise ValueError unless tensors have just the names and shapes that are expected; it lists what is wrong."""
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    shapes = [
        f"{name}: {_size(found[name])}, not {_size(tensor)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    whole = [f"{name}: {tensor.dtype}" for name, tensor in found.items() if not tensor.is_floating_point()]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": shapes, "not floating-point": whole}
    wrong = [f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds.items() if names]
    if wrong:
        raise ValueError(
            f"{place} is not the model that its configuration describes: {'; '.join(wrong)}. Its names are {whose}; "
            "compare depth, widths, image size and head of the configuration with the file, or get the file again"
        )


def _count(layout: Layout, present: list[str]) -> int:
    inside = (name.removeprefix(layout.prefix) for name in present if name.startswith(layout.prefix))
    return sum(layout.names.known(name) for name in inside)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"
