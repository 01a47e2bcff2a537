"""Sliders redraw the figure in place, with the values that were set."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from aimv2_lab.lessons.widgets import rendered, slider_figure

DRAWN: list[tuple[int, str]] = []


def draw_title(size: int, name: str = "one") -> Figure:
    figure, axes = plt.subplots(figsize=(2, 1))
    if size == 3:
        raise ValueError("size 3 is not drawn")
    axes.set_title(f"{name} {size}")
    DRAWN.append((size, name))
    return figure


def test_moving_a_slider_redraws_the_picture() -> None:
    DRAWN.clear()
    widget = slider_figure(draw_title, fixed={"name": "two"}, size=(1, 5, 2))
    slider, message, picture = widget.children
    assert picture.value == rendered(draw_title(2, "two"))
    before = picture.value
    slider.value = 4
    assert DRAWN[-1] == (4, "two") and picture.value != before and message.value == ""
    assert not slider.continuous_update and (slider.min, slider.max) == (1, 5)


def test_an_error_is_shown_and_leaves_no_figure_behind() -> None:
    widget = slider_figure(draw_title, size=(1, 5, 2))
    slider, message, picture = widget.children
    before = picture.value
    slider.value = 3
    assert message.value == "size 3 is not drawn" and picture.value == before
    slider.value = 4
    assert message.value == "" and not plt.get_fignums()


def test_menus_and_fractions() -> None:
    widget = slider_figure(draw_title, size=(0.0, 1.0, 0.5), name=["a", "b"])
    slider, menu, *_ = widget.children
    slider.value, menu.value = 0.25, "b"
    assert DRAWN[-1] == (0.25, "b")
    assert repr(widget) == "[run this cell to move the sliders: size = 0.5, name = a]"
    with pytest.raises(ValueError, match="outside 1 … 5"):
        slider_figure(draw_title, size=(1, 5, 7))
