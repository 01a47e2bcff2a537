"""What the steps of a run measured, read from the device when it is due, and whether the run should stop for it."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from itertools import islice
from pathlib import Path
from typing import NamedTuple, NoReturn

import torch

from aimv2_lab.formats.folder import newest_checkpoint
from aimv2_lab.model.objective import LossCounts
from aimv2_lab.recipes import AnyRecipe, is_native
from aimv2_lab.training.engine import Engine
from aimv2_lab.training.feed import Feed
from aimv2_lab.training.optimizers.building import learning_rate
from aimv2_lab.training.plan.flops import CountedRecipe, flops_utilisation
from aimv2_lab.training.plan.gpus import gpu_at_hand
from aimv2_lab.training.run.folder import read_metrics
from aimv2_lab.training.step import AnyStepResult

HISTORY, LEAST_HISTORY = 100, 20  # losses that a new one is held against, and how few are too few; our choice
KEYS_SHOWN = 8


def _logged(run: Path, steps_done: int) -> list[float]:
    """The totals that a resumed run logged last, of its newest HISTORY steps, or of more where these are too few."""
    rows = [row for row in read_metrics(run, "train") if row["step"] <= steps_done]
    recent = [row for row in rows if row["step"] > steps_done - HISTORY]
    return [row["total"] for row in (recent if len(recent) >= LEAST_HISTORY else rows[-LEAST_HISTORY:])]


class _Unread(NamedTuple):
    """A step whose results are still on the device."""

    step: int
    keys: tuple[str, ...]
    result: AnyStepResult


class Watch:
    """Collects every step's results and reads them together, so that no step waits for its device because of them."""

    def __init__(self, engine: Engine, feed: Feed, recipe: AnyRecipe, run: Path) -> None:
        self.engine, self.feed, self.recipe, self.run = engine, feed, recipe, run
        self._unread: list[_Unread] = []
        logged = engine.ranks.from_first(lambda: _logged(run, engine.steps_done))
        self._totals: deque[float] = deque(logged, maxlen=HISTORY)
        self.begin()

    def begin(self) -> None:
        """Measure rates from now on."""
        self._since, self._waited_before, self._encoded_before = (
            time.perf_counter(),
            self.feed.waited,
            self.feed.encoded,
        )
        self._images = self._tokens = 0

    def add(self, keys: tuple[str, ...], counts: LossCounts, result: AnyStepResult) -> None:
        """Remember a step that was just taken; `keys` are this rank's, `counts` the global batch's."""
        self._unread.append(_Unread(self.engine.steps_done, keys, result))
        self._images += counts.images
        self._tokens += counts.tokens

    def read(self) -> dict[str, float]:
        """The newest step's losses and gradient norm, summed over the ranks, with rates since the last reading.

        Empty where no step was taken since. The share of the time that was waited for data, and the peak
        memory of a GPU, are those of the rank that has most.

        Raises FloatingPointError (RankFailed on all ranks but the first), naming the step and its pairs, for the first
        step since whose losses or gradient are not finite, or whose total is more than `training.loss_limit` times the
        median of those before it.
        """
        unread, self._unread = self._unread, []
        if not unread:
            return {}
        shares = torch.stack([torch.stack([*found.result[:-1]]) for found in unread])  # all but the gradient norm
        sums = iter(self.engine.ranks.sum(*shares.flatten().tolist()))
        norms = torch.stack([found.result.gradient_norm for found in unread]).tolist()
        for place, found in enumerate(unread):
            losses = islice(sums, shares.shape[1])
            values = dict(zip(found.result._fields, (*losses, norms[place]), strict=True))
            self._refuse(values, found)
            self._totals.append(values["total"])
        return values | self._rates()

    def _rates(self) -> dict[str, float]:
        seconds = time.perf_counter() - self._since
        rates = {
            "learning_rate": learning_rate(self.engine.steps_done - 1, self.recipe.training),
            "images_per_second": self._images / seconds,
            "tokens_per_second": (self._patches() + self._tokens) / seconds,
        }
        of_one = {"data_waiting_share": (self.feed.waited - self._waited_before) / seconds}
        if self.engine.device.type == "cuda":
            of_one["gpu_memory_gib"] = torch.cuda.max_memory_allocated(self.engine.device) / 2**30
        highest = zip(of_one, self.engine.ranks.highest(*of_one.values()), strict=True)
        return rates | dict(highest) | self._utilisation(rates["images_per_second"])

    def _patches(self) -> float:
        """The patches of all ranks' pictures."""
        if is_native(self.recipe):
            return self.engine.ranks.sum(self.feed.encoded - self._encoded_before)[0]
        return self._images * self.recipe.encoder.patches

    def _utilisation(self, images_per_second: float) -> dict[str, float]:
        """The model FLOPs utilisation of a GPU, where its peak rate is known."""
        counted = isinstance(self.recipe, CountedRecipe) and not is_native(self.recipe)  # a picture's are always others
        if self.engine.device.type != "cuda" or not counted:
            return {}
        assert isinstance(self.recipe, CountedRecipe)
        about = torch.cuda.get_device_properties(self.engine.device)
        gpu = gpu_at_hand(about.name, about.total_memory)
        if gpu is None:
            return {}
        one, tokens = images_per_second / self.engine.ranks.size, round(self._tokens / self._images)
        return {"model_flops_utilisation": flops_utilisation(self.recipe, one, gpu.peak, tokens)}

    def _refuse(self, values: dict[str, float], found: _Unread) -> None:
        bad = {name: value for name, value in values.items() if not math.isfinite(value)}
        if bad:
            self._stop(found, f"{bad} not finite", "Start again with a lower training.peak_lr")
        limit, total = self.recipe.training.loss_limit, values["total"]
        usual = statistics.median(self._totals) if len(self._totals) >= LEAST_HISTORY else math.inf
        if total > limit * usual:
            what = f"loss {total:.4g} is more than training.loss_limit = {limit:g} times {usual:.4g}, the median before"
            self._stop(found, what, "Look at the pairs, lower training.peak_lr, or raise the limit")

    def _stop(self, found: _Unread, what: str, remedy: str) -> NoReturn:
        keys = self.engine.ranks.joined(found.keys)
        shown = ", ".join(keys[:KEYS_SHOWN]) + (f" … ({len(keys)} in all)" if len(keys) > KEYS_SHOWN else "")
        message = (
            f"step {found.step}: {what}; the pairs of this step are {shown}. The newest checkpoint from before is "
            f"{newest_checkpoint(self.run)}. {remedy}"
        )
        self.engine.ranks.fail(FloatingPointError(message))
