"""Shown source is the package's own text, without anything that differs between machines."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from aimv2_lab.lessons.show import ROOT, show
from aimv2_lab.model import masks, patches
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import EncoderRecipe, TrunkRecipe


def test_a_function_is_shown_with_path_name_and_text() -> None:
    shown = show(patches.patchify)
    assert (shown.path, shown.name) == ("aimv2_lab/model/patches.py", "patchify")
    assert shown.text == inspect.getsource(patches.patchify).rstrip()


@pytest.mark.parametrize(
    ("thing", "name", "start"),
    [
        (VisionEncoder, "VisionEncoder", "class VisionEncoder"),
        (VisionEncoder.forward, "VisionEncoder.forward", "def forward"),
        (EncoderRecipe, "EncoderRecipe", "@dataclass(frozen=True)\nclass EncoderRecipe"),
        (TrunkRecipe.hidden, "TrunkRecipe.hidden", "@property\ndef hidden"),
        (masks, "aimv2_lab.model.masks", '"""Who may look at whom'),
        ("aimv2_lab.model.patches.TARGET_EPS", "TARGET_EPS", "TARGET_EPS = 1e-6"),
    ],
)
def test_classes_methods_modules_and_constants(thing: Callable[..., object] | str, name: str, start: str) -> None:
    shown = show(thing)
    assert shown.name == name and shown.text.startswith(start)


def test_both_forms_hold_the_source_and_no_machine_path() -> None:
    shown = show(patches.patchify)
    for form in (repr(shown), shown._repr_markdown_()):
        assert shown.text in form and shown.path in form
        assert str(ROOT) not in form and str(Path.home()) not in form
    assert "```python\n" in shown._repr_markdown_()


@pytest.mark.parametrize(
    "thing",
    [torch.nn.Linear, len, "aimv2_lab.model.patches.NOTHING", "aimv2_lab.nowhere.X", "torch.pi", "X", 3],
)
def test_what_is_not_the_packages_own_is_refused(thing: Callable[..., object]) -> None:
    with pytest.raises(ValueError):
        show(thing)
