"""Figures draw the right numbers, in one style, with every label whole and legible."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from aimv2_lab.model.masks import prefix_mask
from aimv2_lab.report import style
from aimv2_lab.report.figures import draw_comparison, draw_loss_curves, draw_patches
from aimv2_lab.report.mask_figures import draw_mask, draw_mask_and_flow, draw_receptive_field, look_ahead
from aimv2_lab.report.system import Part, draw_system, example_picture, save_system

PICTURE = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(0))
ROWS = [
    {"kind": kind, "step": step, "pixel": 1.0 - step / 100, "text": 5.0 - step / 20}
    for kind in ("train", "validation")
    for step in (10, 20, 30)
]
TRIANGLE = torch.ones(9, 9).tril()

FIGURES: dict[str, Callable[[], Figure]] = {
    "patches 36": lambda: draw_patches(PICTURE, 8),
    "patches 9": lambda: draw_patches(PICTURE, 16),
    "patches 12, wide": lambda: draw_patches(PICTURE[:, :36], 12),
    "patches 144": lambda: draw_patches(PICTURE, 4),
    "losses": lambda: draw_loss_curves(ROWS),
    "comparison": lambda: draw_comparison(TRIANGLE[:4, :4], TRIANGLE[:4, :4].T, "99a mask"),
    "comparison of vectors": lambda: draw_comparison(torch.arange(6.0), torch.zeros(6), "99a"),
    "mask": lambda: draw_mask(4, 9),
    "mask 36": lambda: draw_mask(12, 36),
    "mask and flow": lambda: draw_mask_and_flow(8, 9),
    "mask and flow 16": lambda: draw_mask_and_flow(5, 16),
    "mask and flow 20": lambda: draw_mask_and_flow(1, 20),
    "field of one output": lambda: draw_receptive_field(torch.arange(36.0), (6, 6), 14),
    "field in a row": lambda: draw_receptive_field(torch.arange(9.0)),
    "field of all outputs": lambda: draw_receptive_field(TRIANGLE, allowed=TRIANGLE.T.bool()),
    "system": draw_system,
    "system, prefix lit": lambda: draw_system("prefix"),
}


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def texts(figure: Figure) -> list[Text]:
    """Every text that appears: not those of hidden axes, nor of ticks beyond the limits."""
    figure.canvas.draw()
    found: list[Text] = [text for part in (figure, *figure.subfigs) for text in part.texts]
    found += [part._suptitle for part in (figure, *figure.subfigs) if part._suptitle]  # type: ignore[attr-defined]
    for axes in figure.axes:
        found += [*axes.texts, axes.title, axes._left_title]  # type: ignore[attr-defined]
        legend = axes.get_legend()
        found += legend.get_texts() if legend else []
        if axes.axison:
            found += [axes.xaxis.label, axes.yaxis.label]
            found += [tick.label1 for axis in (axes.xaxis, axes.yaxis) for tick in axis._update_ticks()]  # type: ignore
    return [text for text in dict.fromkeys(found) if text.get_visible() and text.get_text().strip()]


def titles(figure: Figure) -> str:
    return " | ".join(text.get_text() for text in texts(figure))


@pytest.mark.parametrize("name", FIGURES)
def test_every_label_is_large_enough_whole_and_free_of_others(name: str) -> None:
    figure = FIGURES[name]()
    labels = texts(figure)
    boxes = [text.get_window_extent() for text in labels]
    for text, box in zip(labels, boxes, strict=True):
        assert float(text.get_fontsize()) >= 9, text
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
        assert inside, f"{text} is cut: {box} in {figure.bbox}"
    for (one, box), (other, second) in itertools.combinations(zip(labels, boxes, strict=True), 2):
        overlap = min(box.x1, second.x1) - max(box.x0, second.x0), min(box.y1, second.y1) - max(box.y0, second.y0)
        assert min(overlap) <= 1.5, f"{one} and {other} overlap by {overlap}"


@pytest.mark.parametrize("name", FIGURES)
def test_figures_leave_the_callers_settings_alone_and_follow_the_style(name: str) -> None:
    with plt.rc_context({"figure.dpi": 51, "font.size": 7}):
        before = mpl.rcParams.copy()
        figure = FIGURES[name]()
        assert mpl.rcParams == before
    assert figure.dpi == style.DPI and figure.get_figwidth() <= 10


# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
VISION = {
    "common": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour: str, seen: object) -> np.ndarray:
    """CIE Lab of a colour as somebody with the given vision sees it."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.asarray(seen) @ linear, 0, 1) / np.array([0.9505, 1, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
def test_no_two_colours_of_the_palette_look_alike(vision: str) -> None:
    for (one, colour), (other, second) in itertools.combinations(style.PALETTE.items(), 2):
        distance = np.linalg.norm(lab(colour, VISION[vision]) - lab(second, VISION[vision]))
        assert distance > 20, f"{one} and {other} are {distance:.0f} apart"


@pytest.mark.parametrize(("prefix_length", "pairs"), [(1, 0), (2, 1), (4, 6), (8, 28)])
def test_the_mask_that_is_drawn_is_the_models(prefix_length: int, pairs: int) -> None:
    figure = draw_mask(prefix_length, 9)
    kinds = np.asarray(figure.axes[0].images[0].get_array())
    assert ((kinds > 0) == prefix_mask(torch.tensor([prefix_length]), 9)[0, 0].numpy()).all()
    assert (kinds == 2).sum() == look_ahead(prefix_length, 9) == pairs == prefix_length * (prefix_length - 1) // 2
    assert ("plain causal" if not pairs else f"{pairs} pair") in titles(figure)


def test_one_arc_for_every_pair_that_may_look() -> None:
    axes = draw_mask_and_flow(4, 9).axes[1]
    arcs = [patch for patch in axes.patches if isinstance(patch, mpl.patches.Arc)]
    above, below = ([arc for arc in arcs if arc.theta2 == end] for end in (180, 360))
    assert len(above) == 9 * 8 // 2 and len(below) == look_ahead(4, 9)
    assert {mpl.colors.to_hex(arc.get_edgecolor()).upper() for arc in below} == {style.PREFIX}


@pytest.mark.parametrize("prefix_length", [0, 9, -1])
def test_prefixes_out_of_range_are_refused(prefix_length: int) -> None:
    with pytest.raises(ValueError, match="1 … 8"):
        draw_mask_and_flow(prefix_length, 9)


def test_more_arcs_than_can_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        draw_mask_and_flow(4, 64)


@pytest.mark.parametrize("side", [2, 6])
def test_patches_are_drawn_whole_and_in_raster_order(side: int) -> None:
    picture = torch.rand(3, 2 * side, 2 * side, generator=torch.Generator().manual_seed(1))
    sequence = np.asarray(draw_patches(picture, 2).axes[2].images[0].get_array())
    per_line = 4 if side == 2 else 18  # 36 patches take two lines; a gap of one pixel follows each patch
    for patch in range(side * side):
        (line, place), (row, column) = divmod(patch, per_line), divmod(patch, side)
        tile = sequence[3 * line : 3 * line + 2, 3 * place : 3 * place + 2]
        expected = picture[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].permute(1, 2, 0)
        assert np.allclose(tile, expected.numpy()), patch
    with pytest.raises(ValueError, match="not a multiple"):
        draw_patches(picture, 5)


def test_loss_curves_show_the_records_and_say_where_they_end() -> None:
    figure = draw_loss_curves(ROWS)
    for axes, key in zip(figure.axes, ("pixel", "text"), strict=True):
        for line, kind in zip(axes.lines, ("train", "validation"), strict=True):
            assert line.get_ydata() == pytest.approx([row[key] for row in ROWS if row["kind"] == kind])
    assert "0.90 → 0.70 (held out)" in titles(figure)
    assert "held out" not in titles(draw_loss_curves(ROWS[:3]))
    with pytest.raises(ValueError, match="empty"):
        draw_loss_curves([])


def test_a_comparison_draws_both_and_counts_what_differs() -> None:
    yours = TRIANGLE.clone()
    yours[0, 8] = 1
    figure = draw_comparison(TRIANGLE, yours, "99a")
    target, mine, difference = (np.asarray(axes.images[0].get_array()) for axes in figure.axes)
    assert (target == TRIANGLE.numpy()).all() and (mine == yours.numpy()).all()
    assert np.argwhere(difference).tolist() == [[0, 8]] and "1 of 81 entries" in titles(figure)
    with pytest.raises(ValueError, match="differ in shape"):
        draw_comparison(TRIANGLE, TRIANGLE[:3], "99a")


@pytest.mark.parametrize("bad", [torch.tensor([float("nan")] * 3), torch.tensor([float("inf"), 0.0, 0.0])])
def test_values_that_are_not_finite_can_be_compared(bad: torch.Tensor) -> None:
    assert "entries differ" in titles(draw_comparison(torch.zeros(3), bad, "99a"))


def test_a_receptive_field_marks_what_must_not_be_seen() -> None:
    gradient = torch.tensor([0.5, 0.1, 0.0, 0.2])
    figure = draw_receptive_field(gradient, (2, 2), output=1, allowed=torch.tensor([True, True, False, False]))
    assert np.asarray(figure.axes[0].images[0].get_array()) == pytest.approx(gradient.numpy().reshape(2, 2))
    assert np.asarray(figure.axes[1].images[0].get_array()).tolist() == [[1, 1], [0, 2]]
    assert "Output 1 sees 3 of 4 patches" in titles(figure) and "1 of them must not be" in titles(figure)
    assert "as allowed" in titles(draw_receptive_field(TRIANGLE, allowed=TRIANGLE.bool()))
    with pytest.raises(ValueError, match="fits no"):
        draw_receptive_field(gradient, (3, 2))


@pytest.mark.parametrize("part", get_args(Part))
def test_one_part_of_the_system_is_lit_and_the_rest_dimmed(part: Part) -> None:
    def ink(figure: Figure) -> float:
        figure.canvas.draw()
        return float(255 - np.asarray(figure.canvas.buffer_rgba())[..., :3].mean())  # type: ignore[attr-defined]

    assert ink(draw_system(part)) < 0.8 * ink(draw_system())


def test_system_errors_and_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown part 'decoders'"):
        draw_system("decoders")  # type: ignore[arg-type]
    save_system(tmp_path / "system.png")
    assert (tmp_path / "system.png").read_bytes().startswith(b"\x89PNG")
    assert example_picture().shape == (3, 60, 60) and 0 <= example_picture().min() <= example_picture().max() <= 1
