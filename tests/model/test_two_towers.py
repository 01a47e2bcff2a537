"""Two towers and their losses, against the formulas of their papers written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from aimv2_lab.model.two_towers import SCALE_CAP, Embeddings, TwoTowers, contrastive_losses
from aimv2_lab.recipes import ContrastiveRecipe, recipe
from tests.training.contrastive_toy import paired

SCALE, BIAS = torch.tensor(14.0), torch.tensor(-3.0)


def embeddings(seed: int, count: int = 6, width: int = 5) -> Embeddings:
    draws = torch.Generator().manual_seed(seed)
    images, texts = (functional.normalize(torch.randn(count, width, generator=draws), dim=-1) for _ in range(2))
    return Embeddings(images, texts, SCALE, BIAS)


def test_the_softmax_loss_is_clips() -> None:
    said = embeddings(0)
    logits = 14.0 * said.images @ said.texts.T
    rows = [-math.log(math.exp(logits[i, i]) / sum(math.exp(logits[i, j]) for j in range(6))) for i in range(6)]
    columns = [-math.log(math.exp(logits[i, i]) / sum(math.exp(logits[j, i]) for j in range(6))) for i in range(6)]
    found = contrastive_losses(said._replace(bias=torch.zeros(())), said.images, said.texts, 0, "softmax")
    assert found.total.item() == pytest.approx((sum(rows) + sum(columns)) / 12, rel=1e-5)
    assert found.matched.item() == pytest.approx(sum(int(logits[i].argmax()) == i for i in range(6)) / 6)


def test_the_sigmoid_loss_is_siglips() -> None:
    said = embeddings(1)
    logits = 14.0 * said.images @ said.texts.T - 3.0
    terms = [math.log(1 + math.exp(-(1 if i == j else -1) * logits[i, j].item())) for i in range(6) for j in range(6)]
    found = contrastive_losses(said, said.images, said.texts, 0, "sigmoid")
    assert found.total.item() == pytest.approx(sum(terms) / 6, rel=1e-5)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_the_shares_of_ranks_add_up(loss: str) -> None:
    said = embeddings(2)
    parts = [said._replace(images=said.images[rows], texts=said.texts[rows]) for rows in (slice(0, 2), slice(2, 6))]
    shares = [
        contrastive_losses(part, said.images, said.texts, first, loss)  # type: ignore[arg-type]
        for part, first in zip(parts, (0, 2), strict=True)
    ]
    whole = contrastive_losses(said, said.images, said.texts, 0, loss)  # type: ignore[arg-type]
    torch.testing.assert_close(torch.tensor(shares).sum(dim=0), torch.tensor(whole))


def test_the_scale_starts_at_the_papers_and_is_capped() -> None:
    towers = TwoTowers(paired())
    batch = (torch.randn(2, 3, 24, 24), torch.tensor([[3, 1], [4, 1]]), torch.tensor([1, 1]))
    assert towers(*batch).scale.item() == pytest.approx(1 / 0.07)
    with torch.no_grad():
        towers.log_scale.fill_(10.0)
    said = towers(*batch)
    assert said.scale.item() == pytest.approx(SCALE_CAP)
    torch.testing.assert_close(said.images.norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(said.texts.norm(dim=-1), torch.ones(2))
    sigmoid = TwoTowers(paired(loss="sigmoid"))(*batch)
    assert (round(sigmoid.scale.item(), 4), sigmoid.bias.item()) == (10.0, -10.0)


def test_the_released_model_has_the_released_size() -> None:
    """Ours has one number more, SigLIP's bias, which the softmax loss leaves at zero."""
    with torch.device("meta"):
        towers = TwoTowers(ContrastiveRecipe("lit", recipe("aimv2-large-224").encoder))
    assert sum(parameter.numel() for parameter in towers.parameters()) == 436_680_193 + 1
