"""What each objective is given and predicts is what the package's masks and losses say."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
import torch

from aimv2_lab.data.world.source import open_world
from aimv2_lab.model.masks import causal_mask, prefix_mask
from aimv2_lab.report.rival_figures import as_picture, draw_rivals, draw_world_strip, rival_views

VISIBLE = torch.arange(16) % 4 == 0


def test_views_follow_the_masks_and_what_counts() -> None:
    views = {view.name: view for view in rival_views(16, 5, 6, VISIBLE)}
    aimv2, captions, masked = views["AIMv2"], views["caption only"], views["masked image"]
    assert torch.equal(aimv2.encoder, prefix_mask(torch.tensor([6]), 16)[0, 0])
    assert torch.equal(aimv2.predicted, torch.arange(16) >= 6) and not captions.predicted.any()
    assert torch.equal(aimv2.second, causal_mask(21)) and torch.equal(views["CLIP, SigLIP"].second, causal_mask(5))
    assert views["CapPa, 3 of 4"].second[16:, 16:].all() and not views["CapPa, 3 of 4"].second[:16, 16:].any()
    assert torch.equal(masked.predicted, ~VISIBLE) and masked.encoder.sum() == 16


def test_all_views_are_drawn() -> None:
    pair = open_world("world:contrast", size=32)[1]
    picture = as_picture(pair)
    assert picture.shape == (3, 32, 32) and picture.min() >= 0 and picture.max() <= 1
    views = rival_views(16, 5, 6, VISIBLE)
    figure = draw_rivals(picture, pair.captions[0], views)
    assert [row.get_ylabel() for row in figure.axes[::4]] == [view.name for view in views]
    plt.close(figure)


def test_the_strip_names_every_factor_in_its_group() -> None:
    figure = draw_world_strip(open_world("world:contrast", size=32), range(3))
    assert figure.get_suptitle() == "12 questions about every scene, in 4 groups"
    named = [text.get_text().split("\n") for part in figure.subfigs for axes in part.axes for text in axes.texts]
    assert [len(names) for names in named] == [5, 2, 3, 2] and named[1] == ["large object, mark", "small object, shape"]
    plt.close(figure)


@pytest.mark.parametrize("prefix_length", [1, 15])
def test_any_prefix_can_be_drawn(prefix_length: int) -> None:
    (aimv2, *_) = rival_views(16, 5, prefix_length, VISIBLE)
    assert aimv2.predicted.sum() == 16 - prefix_length
