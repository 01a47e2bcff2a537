"""What differs between a target and a learner's value: one line of text, and two matrices to draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from aimv2_lab.report.figures import draw_comparison


@dataclass(frozen=True)
class Difference:
    """A fault in one line; `target` and `yours`, where given, are matrices (rows, columns) to draw side by side."""

    text: str
    target: Tensor | None = None
    yours: Tensor | None = None

    @property
    def drawable(self) -> bool:
        """Whether there are two matrices to draw."""
        return self.target is not None and self.yours is not None

    def show(self, title: str) -> None:
        """Draw target, yours and difference in the notebook; elsewhere draw nothing."""
        if self.target is None or self.yours is None or "inline" not in plt.get_backend():
            return
        draw_comparison(self.target, self.yours, title)
        plt.show()


def compare(target: Any, yours: Any, tolerance: float = 1e-5) -> Difference | None:
    """None when `yours` equals `target` within the tolerance (absolute and relative at once), else what differs."""
    if yours is None and target is not None:
        return Difference("your function returned nothing; is a `return` missing?")
    if isinstance(target, Tensor):
        return _compare_tensors(target, yours, tolerance)
    if isinstance(target, Mapping):
        return _compare_mappings(target, yours, tolerance)
    if isinstance(target, (tuple, list)):
        return _compare_sequences(target, yours, tolerance)
    return _compare_values(target, yours, tolerance)


def _compare_values(target: Any, yours: Any, tolerance: float) -> Difference | None:
    """Numbers, bools and strings; a tensor of one entry counts as its number."""
    value = yours.item() if isinstance(yours, Tensor) and yours.numel() == 1 else yours
    number = isinstance(target, (int, float)) and not isinstance(target, bool)
    if number != (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return Difference(f"the target is of type {type(target).__name__}, yours of type {_describe(value)}")
    same = _close(target, value, tolerance) if number else type(value) is type(target) and value == target
    return None if same else Difference(f"yours is {value!r}, the target {target!r}")


def _compare_tensors(target: Tensor, yours: Any, tolerance: float) -> Difference | None:
    if not isinstance(yours, Tensor):
        return Difference(f"{_describe(target)} is expected, yours is a {_describe(yours)}")
    if yours.shape != target.shape:
        return Difference(f"your shape is {tuple(yours.shape)}, the target's {tuple(target.shape)}")
    if _kind(yours) != _kind(target):
        return Difference(f"your entries are {_kind(yours)}, the target's {_kind(target)}")
    wide_target, wide_yours = target.detach().double().cpu(), yours.detach().double().cpu()
    wrong = ~torch.isclose(wide_yours, wide_target, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not wrong.any():
        return None
    count, first = int(wrong.sum()), tuple(wrong.nonzero()[0].tolist())
    text = f"{count} of {wrong.numel()} entries {'differs' if count == 1 else 'differ'}; the first at {first}: "
    text += f"yours {_entry(yours[first])}, target {_entry(target[first])}"
    return Difference(text, *(_matrix(values, first) for values in (wide_target, wide_yours)))


def _compare_sequences(target: tuple[Any, ...] | list[Any], yours: Any, tolerance: float) -> Difference | None:
    if not isinstance(yours, (tuple, list)):
        return Difference(f"a {type(target).__name__} of {len(target)} is expected, yours is a {_describe(yours)}")
    if len(yours) != len(target):
        return Difference(f"yours has {len(yours)} items, the target {len(target)}")
    pairs = zip(target, yours, strict=True)
    return _first((f"item {i}", compare(one, other, tolerance)) for i, (one, other) in enumerate(pairs))


def _compare_mappings(target: Mapping[Any, Any], yours: Any, tolerance: float) -> Difference | None:
    if not isinstance(yours, Mapping):
        return Difference(f"a dict is expected, yours is a {_describe(yours)}")
    if set(yours) != set(target):
        return Difference(f"your keys are {sorted(map(str, yours))}, the target's {sorted(map(str, target))}")
    return _first((f"[{key!r}]", compare(one, yours[key], tolerance)) for key, one in target.items())


def _first(found: Any) -> Difference | None:
    """The first difference of (place, difference or None), its text led by the place."""
    for place, difference in found:
        if difference is not None:
            return Difference(f"{place}: {difference.text}", difference.target, difference.yours)
    return None


def _close(target: float, value: float, tolerance: float) -> bool:
    both_nan = target != target and value != value
    return both_nan or target == value or abs(value - target) <= tolerance * (1 + abs(target))


def _describe(value: Any) -> str:
    return f"Tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def _kind(values: Tensor) -> str:
    """Booleans, integers and floats are told apart; their widths are not."""
    return "bool" if values.dtype == torch.bool else "float" if values.is_floating_point() else "integer"


def _entry(value: Tensor) -> str:
    return f"{value.item():.3f}" if value.is_floating_point() else str(value.item())


def _matrix(values: Tensor, first: tuple[int, ...]) -> Tensor:
    """The (rows, columns) slice that holds the first differing entry; a vector becomes one row."""
    sliced = values[first[:-2]] if values.ndim > 2 else values
    return sliced.reshape(1, -1) if sliced.ndim < 2 else sliced
