"""An exchange reaches every place where the name is bound, and is undone in all of them."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

from aimv2_lab.lessons.bugs.exchange import exchanged
from aimv2_lab.model import masks
from aimv2_lab.model.layers import SwiGLU
from aimv2_lab.model.masks import prefix_mask

LENGTHS = torch.tensor([2])
ENCODER = sys.modules["aimv2_lab.model.encoder"]  # which imports the mask by name


def opposite(prefix_lengths: Tensor, patches: int) -> Tensor:
    return ~prefix_mask(prefix_lengths, patches)  # the original's result, though this name is exchanged, too


def test_copies_made_by_import_are_exchanged_and_restored() -> None:
    original, right = masks.prefix_mask, prefix_mask(LENGTHS, 4)
    with exchanged(masks, "prefix_mask", opposite):
        assert masks.prefix_mask is ENCODER.prefix_mask is prefix_mask is not original
        for bound in (masks.prefix_mask, ENCODER.prefix_mask, prefix_mask):
            assert torch.equal(bound(LENGTHS, 4), ~right)
    assert masks.prefix_mask is ENCODER.prefix_mask is prefix_mask is original


def test_a_module_imported_meanwhile_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    late = ModuleType("tests.imported_late")
    monkeypatch.setitem(sys.modules, "tests.imported_late", late)
    with exchanged(masks, "prefix_mask", opposite):
        late.mask_rule = masks.prefix_mask  # type: ignore[attr-defined]
    assert late.mask_rule is masks.prefix_mask


def test_everything_is_restored_after_an_error_also_one_inside_the_replacement() -> None:
    def broken(prefix_lengths: Tensor, patches: int) -> Tensor:
        raise ZeroDivisionError

    original = masks.prefix_mask
    with pytest.raises(ZeroDivisionError), exchanged(masks, "prefix_mask", broken):
        with pytest.raises(ZeroDivisionError):
            ENCODER.prefix_mask(LENGTHS, 4)
        ENCODER.prefix_mask(LENGTHS, 4)  # still exchanged after the first error
    assert masks.prefix_mask is ENCODER.prefix_mask is original


def test_a_method_is_exchanged_for_objects_that_exist_already() -> None:
    layer, x = SwiGLU(4, 4), torch.ones(1, 1, 4)
    before = layer(x)
    with exchanged(SwiGLU, "forward", lambda self, x: SwiGLU.forward(self, x) + 1):
        assert torch.equal(layer(x), before + 1)
    assert torch.equal(layer(x), before)


def test_a_name_that_the_owner_does_not_define_is_refused() -> None:
    with pytest.raises(AttributeError, match="SwiGLU defines no 'train'"), exchanged(SwiGLU, "train", opposite):
        pass
