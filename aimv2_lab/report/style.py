"""One style for every picture: sizes, fonts, and a palette that colour-blind readers can tell apart.

The same colour means the same thing everywhere: IMAGE patches and pixel predictions, TEXT captions, PREFIX the patches
that all may see. Colours are Okabe and Ito's, with a wine red of Tol's for WRONG, so that it differs from TEXT.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.colors import LinearSegmentedColormap, to_rgb

IMAGE = "#0072B2"
TEXT = "#D55E00"
PREFIX = "#009E73"
WRONG = "#882255"
TRUE = "#1A1A1A"  # the target, the truth to compare with; also ink
NEUTRAL = "#B8B8B8"
FAINT = "#EFEFEF"  # what is hidden, absent or not in focus

PALETTE = {"image": IMAGE, "text": TEXT, "prefix": PREFIX, "wrong": WRONG, "true": TRUE, "neutral": NEUTRAL}

WIDTH = 8.0  # inches; with DPI a figure as wide as a notebook's column
DPI = 120

STYLE: dict[Any, Any] = {
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "savefig.format": "png",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that figures agree between machines
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": TRUE,
    "axes.prop_cycle": cycler(color=[IMAGE, TEXT, PREFIX, WRONG, NEUTRAL]),
    "image.interpolation": "nearest",
    "lines.linewidth": 1.8,
}

Parameters = ParamSpec("Parameters")
Drawn = TypeVar("Drawn")


def styled(draw: Callable[Parameters, Drawn]) -> Callable[Parameters, Drawn]:
    """Let a drawing function use the style, and leave the caller's settings as they were."""

    @functools.wraps(draw)
    def drawn_in_style(*arguments: Parameters.args, **options: Parameters.kwargs) -> Drawn:
        with plt.rc_context(STYLE):
            return draw(*arguments, **options)

    return drawn_in_style


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """The colour mixed with white: 1 is the colour itself, 0 is white."""
    red, green, blue = (1 - strength * (1 - channel) for channel in to_rgb(colour))
    return red, green, blue


def colour_scale(colour: str) -> LinearSegmentedColormap:
    """A colour map from white to the colour."""
    return LinearSegmentedColormap.from_list(f"white to {colour}", ["white", colour])


def difference_scale() -> LinearSegmentedColormap:
    """A colour map for signed values: IMAGE below zero, white at zero, TEXT above."""
    return LinearSegmentedColormap.from_list("difference", [IMAGE, "white", TEXT])
