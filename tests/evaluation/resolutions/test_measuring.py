"""A base and its stages are trained and probed once; stages begin with the base's weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aimv2_lab.data.world.source import LENGTHS, open_world
from aimv2_lab.evaluation.ablations.toys import PROBES
from aimv2_lab.evaluation.probing.opening import HELD_OUT, SEEN
from aimv2_lab.evaluation.resolutions import measuring, toys, views
from aimv2_lab.evaluation.resolutions.comparing import Seen, difference, score
from aimv2_lab.evaluation.resolutions.measuring import Family
from aimv2_lab.evaluation.resolutions.toys import PROBED, TRAINED
from aimv2_lab.evaluation.resolutions.views import RATIOS, VIEWS, probed
from aimv2_lab.formats.folder import CHECKPOINTS, read_recipe
from aimv2_lab.recipes import Recipe
from aimv2_lab.training.run.folder import read_metrics

SHORT = {
    "data.source": "world:oblong:64",
    "training.steps": 2,
    "training.warmup_steps": 0,
    "training.log_every": 1,
    "training.validate_every": 2,
    "training.validation_batches": 1,
    "training.checkpoint_every": 1,
}


@pytest.fixture(autouse=True)
def short_and_few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two steps, and fewer scenes to probe."""
    for name, length in (("validation", 200), ("heldout", 120)):
        monkeypatch.setitem(LENGTHS, name, length)
    short = {name: replace(one, recipe=one.recipe.change(SHORT)) for name, one in TRAINED.items()}
    for module in (toys, measuring):
        monkeypatch.setattr(module, "TRAINED", short)
    monkeypatch.setattr(views, "PROBED_SCENES", 150)
    quick = {"attentive": replace(PROBES["attentive"], epochs=2, batch_size=50)}
    monkeypatch.setattr(measuring, "PROBES", quick)
    probed.cache_clear()
    yield
    open_world.cache_clear()
    probed.cache_clear()


@pytest.mark.parametrize("base", ["low", "low-sincos"])
def test_a_family_is_trained_and_probed_once(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family = Family(base, 3)
    found = family.run(tmp_path)["members"]
    assert [member["variant"] for member in found] == [base, *(n for n, one in TRAINED.items() if one.start == base)]
    for member in found:
        assert set(member["scores"]) == set(PROBED[member["variant"]]) and set(member["losses"]) == {
            "total",
            "pixel",
            "text",
        }
        for tests in member["scores"].values():
            assert set(tests) == {SEEN, HELD_OUT, *RATIOS}
            assert all(0 <= value <= 1 for factors in tests.values() for value in factors.values())
        assert not (tmp_path / f"{member['variant']}-3" / CHECKPOINTS).exists()
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "pretrain", None)  # a second training would fail
        assert family.run(tmp_path)["members"] == found
    stage = f"{found[-1]['variant']}-3"
    shutil.rmtree(tmp_path / stage)
    with pytest.raises(
        ValueError, match=rf"{stage} goes on from .*{base}-3, whose weights were removed\. Remove .*{base}-3"
    ):
        family.run(tmp_path)
    shutil.rmtree(tmp_path / f"{base}-3")
    assert [member["scores"] for member in family.run(tmp_path)["members"]] == [member["scores"] for member in found]
    monkeypatch.setattr("aimv2_lab.data.world.settings.CODE_VERSION", 999)
    with pytest.raises(ValueError, match="measured in another way"):
        family.run(tmp_path)


def test_stages_go_on_from_the_base_at_other_sizes_with_their_own_decay(tmp_path: Path) -> None:
    """Two steps change little: a stage's first loss is nearer to the base's last than to first weights'."""
    longer = {"training.steps": 60, "training.validate_every": 60, "training.checkpoint_every": 60}
    base = toys.TRAINED["low"]
    every = {**toys.TRAINED, "low": replace(base, recipe=base.recipe.change(longer))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "TRAINED", every)
        patch.setattr(measuring, "PROBED", dict.fromkeys(TRAINED, ()))
        Family("low", 3).run(tmp_path)
    first, last = (read_metrics(tmp_path / "low-3", "train")[place]["total"] for place in (0, -1))
    for name, size, decay in (("high", 64, 0.0), ("high-decay", 64, 1e-4), ("low-continued", 32, 0.0)):
        recipe = read_recipe(tmp_path / f"{name}-3" / "recipe.json")
        assert isinstance(recipe, Recipe)
        assert (recipe.encoder.image_size, recipe.training.weight_decay) == (size, decay)
        begun = read_metrics(tmp_path / f"{name}-3", "train")[0]["total"]
        assert abs(begun - last) < abs(begun - first), name


def test_every_ratio_is_tested_once_and_views_are_what_they_say() -> None:
    tests = probed("native").tests
    assert sum(len(tests[name]) for name in RATIOS) == len(tests[SEEN]) == 200
    whole = probed("native").train[0].picture
    assert whole is not None and whole.shape[1] % 8 == whole.shape[2] % 8 == 0
    for name, side in (("low", 32), ("high", 64), ("cropped", 64)):
        picture = probed(name).train[0].picture
        assert picture is not None and picture.shape == (3, side, side)
    sizes = [picture.shape for picture in (tests[SEEN][number].picture for number in range(200)) if picture is not None]
    assert max(height * width for _, height, width in sizes) == 64 * 64  # as many patches as squashed, at most
    narrow = tests["2.4 to 3"][0].picture
    assert narrow is not None and max(narrow.shape[1:]) > 2 * min(narrow.shape[1:])
    assert {view for names in PROBED.values() for view in names} == set(VIEWS)


def test_differences_are_paired_by_seed() -> None:
    def run(name: str, seed: int, value: float) -> dict[str, Any]:
        return {
            "variant": name,
            "seed": seed,
            "scores": {"high": {SEEN: {"ground hue": value, "large object, mark": 0.5}}},
        }

    runs = [run("low", 2, 0.9), run("low", 1, 0.5), run("high", 1, 0.6), run("high", 2, 1.0), run("high", 3, 0.0)]
    low, high = Seen("low", "high"), Seen("high", "high")
    assert score(runs, low, "P").values == (0.5, 0.9)
    found = difference(runs, high, low)
    assert found.values == pytest.approx((0.05, 0.05)) and found.mean == pytest.approx(0.05)
    for one, before in zip(runs, (0.8, 0.5, 0.4, 0.9, 0.0), strict=True):
        one["scores"]["low"] = {SEEN: {"ground hue": before, "large object, mark": 0.5}}
    gained = difference(runs, high, low, since="low")
    assert gained.values == pytest.approx((0.1, 0.0))  # (0.6 - 0.4) - (0.5 - 0.5), (1.0 - 0.9) - (0.9 - 0.8), halved
    with pytest.raises(KeyError, match="no run of 'native'"):
        score(runs, Seen("native", "high"))
