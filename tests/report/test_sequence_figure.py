"""The drawn sequence holds every slot once, and the title counts what the objective counts."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from aimv2_lab.model.patches import patchify
from aimv2_lab.report.sequence_figure import UNCOUNTED, draw_sequence
from aimv2_lab.report.style import NEUTRAL

PICTURE = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(0))  # 9 patches of 2 x 2
WORDS = ["a", "start", "end"]  # a word may read like the start vector


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.mark.parametrize(("length", "patches"), [(1, 8), (4, 5), (8, 1)])
def test_the_title_counts_predictions(length: int, patches: int) -> None:
    axes = draw_sequence(PICTURE, WORDS, length, patch_size=2).axes[0]
    title = f"12 slots, {patches + 3} predictions that count: {patches} patches, 3 tokens"
    assert axes.get_title(loc="left") == title
    strengths = [image.get_alpha() for image in axes.images]
    assert strengths == [UNCOUNTED] * (length - 1) + [1.0] * patches


def test_every_image_slot_but_the_last_predicts_the_next_patch() -> None:
    axes = draw_sequence(PICTURE, WORDS, 4, patch_size=2).axes[0]
    tiles = patchify(PICTURE[None], 2)[0].reshape(9, 2, 2, 3).numpy()
    assert len(axes.images) == 8
    for slot, image in enumerate(axes.images):
        assert np.allclose(np.asarray(image.get_array()), tiles[slot + 1], atol=1e-6)


def test_one_slot_is_the_start_vector_and_the_last_token_is_only_predicted() -> None:
    axes = draw_sequence(PICTURE, WORDS, 4, patch_size=2).axes[0]
    assert sum(patch.get_facecolor() == to_rgba(NEUTRAL) for patch in axes.patches) == 1
    texts = [text.get_text() for text in axes.texts]
    assert texts.count("a") == 2 and texts.count("end") == 1


def test_a_prefix_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"outside 1 … 8"):
        draw_sequence(PICTURE, WORDS, 9, patch_size=2)
