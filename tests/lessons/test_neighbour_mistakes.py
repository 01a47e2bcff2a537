"""The slip of notebook 09 is what the text says, and the control of the repository's test notices it."""

from __future__ import annotations

import torch

from aimv2_lab.evaluation.neighbours import agreement, chance_agreement, nearest
from aimv2_lab.lessons.neighbour_mistakes import nearest_with_itself

DRAWS = torch.Generator().manual_seed(0)
FEATURES, LABELS = torch.randn(2000, 32, generator=DRAWS), torch.randint(5, (2000,), generator=DRAWS).tolist()


def test_every_row_leads_its_own_list_and_the_rest_is_right() -> None:
    hasty = nearest_with_itself(FEATURES, count=5)
    assert hasty[:, 0].tolist() == list(range(2000))
    assert torch.equal(hasty[:, 1:], nearest(FEATURES, count=4))


def test_the_control_notices_it() -> None:
    hasty = agreement(nearest_with_itself(FEATURES, count=5), LABELS)
    assert hasty > chance_agreement(LABELS) + 0.1
