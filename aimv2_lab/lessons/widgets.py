"""Sliders that redraw a figure in place."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

Limits = tuple[int, int, int] | tuple[float, float, float]


class Interactive(ipywidgets.VBox):  # type: ignore[misc]
    """Widgets in a column with a text form for readers and tests without a kernel; it holds no bytes of a picture."""

    def __init__(self, text: str, widgets: list[Any]) -> None:
        super().__init__(widgets)
        self.text = text

    def __repr__(self) -> str:
        return self.text


def slider_figure(
    draw: Callable[..., Figure], fixed: dict[str, Any] | None = None, **sliders: Limits | list[Any]
) -> Interactive:
    """Sliders over `draw(**values)`; the figure is drawn again when a slider is let go.

    Each keyword names a parameter of `draw`, and gives (lowest, highest, start) for a slider (whole numbers when all
    three are), or a list to choose from, whose first entry is the start. `fixed` holds the parameters that stay. An
    error of `draw` is shown in place of the figure. Make it a cell's last value; the cell after draws the same figure
    with fixed values, for readers without a running kernel.
    """
    controls = {name: _control(name, choice) for name, choice in sliders.items()}
    picture, message = ipywidgets.Image(format="png"), ipywidgets.Label()
    picture.layout.max_width = "100%"  # a wide figure shrinks with its cell
    picture.layout.align_self = "flex-start"  # and a narrow one is not stretched

    def redraw(_: object = None) -> None:
        values = {name: control.value for name, control in controls.items()}
        try:
            picture.value = rendered(draw(**(fixed or {}), **values))
            message.value = ""
        except (ValueError, KeyError) as error:
            plt.close("all")  # what was begun would otherwise appear below the cell
            message.value = str(error)

    for control in controls.values():
        control.observe(redraw, names="value")
    redraw()
    starts = ", ".join(f"{control.description} = {control.value}" for control in controls.values())
    return Interactive(f"[run this cell to move the sliders: {starts}]", [*controls.values(), message, picture])


def rendered(figure: Figure) -> bytes:
    """The figure as PNG; it is closed, so that it is not shown a second time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")  # whole, not cut to its contents, so that it does not jump as they change
    plt.close(figure)
    return buffer.getvalue()


def _control(name: str, choice: Limits | list[Any]) -> Any:
    """One labelled slider or menu; sliders report when let go, not on the way."""
    common: dict[str, Any] = {"description": name.replace("_", " "), "style": {"description_width": "initial"}}
    if isinstance(choice, list):
        return ipywidgets.Dropdown(options=choice, value=choice[0], **common)
    low, high, start = choice
    if not low <= start <= high:
        raise ValueError(f"slider {name}: the start {start} lies outside {low} … {high}")
    common |= {"min": low, "max": high, "value": start, "continuous_update": False}
    if all(isinstance(limit, int) for limit in choice):
        return ipywidgets.IntSlider(**common)
    return ipywidgets.FloatSlider(step=(high - low) / 20, **common)
