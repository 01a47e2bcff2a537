"""Windows of curves: every record counts in one window, and the mean is over that window alone."""

from __future__ import annotations

from aimv2_lab.report.curves import COARSE, FINE, FINE_STEPS, store_curves, window_end


def test_every_step_lies_in_the_window_that_ends_at_or_after_it() -> None:
    for step in range(1, FINE_STEPS + 3 * COARSE + 1):
        end = window_end(step)
        width = FINE if end <= FINE_STEPS else COARSE
        assert end - width < step <= end and end % width == 0


def test_means_are_taken_per_window() -> None:
    steps = [1, 5, 6, FINE_STEPS + 1, FINE_STEPS + COARSE]
    records = [{"step": step, "pixel": float(step), "text": 2.0 * step} for step in steps]
    curves = store_curves(records)
    assert curves["step"] == [5.0, 10.0, FINE_STEPS + COARSE]
    assert curves["pixel"] == [3.0, 6.0, FINE_STEPS + (1 + COARSE) / 2]
    assert curves["text"] == [2 * value for value in curves["pixel"]]
