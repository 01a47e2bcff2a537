"""Pre-training from recipe to run folder: the loop around the step."""

from __future__ import annotations

import math
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import torch
from tqdm.auto import tqdm

from aimv2_lab.data.batches import Batch, PairDataset, batches
from aimv2_lab.data.damage import DamagedPair, DamageLog
from aimv2_lab.data.mixture import MixedSource, open_mixture
from aimv2_lab.data.tokenizer import CaptionTokenizer, load_tokenizer
from aimv2_lab.formats.folder import newest_checkpoint
from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.models import AnyModel, model_of
from aimv2_lab.model.objective import LossCounts
from aimv2_lab.recipes import AIMv1Recipe, AnyRecipe, Recipe
from aimv2_lab.training.checkpoint import load_checkpoint, save_checkpoint
from aimv2_lab.training.engine import LocalEngine, pick_device
from aimv2_lab.training.run import (
    TOKENIZER,
    Metrics,
    create_run,
    find_checkpoint,
    is_run,
    refuse_other_data,
    refuse_other_state,
)
from aimv2_lab.training.step import batch_losses, loss_counts, train_step

TOKENIZER_CAPTIONS = 20_000  # captions that a tokenizer of the run's own is trained on, at most; our choice


@dataclass(frozen=True)
class RunData:
    """The two splits of a run and the tokenizer that reads their captions, None where the recipe has no text."""

    training: PairDataset
    validation: PairDataset
    tokenizer: CaptionTokenizer | None

    @property
    def identity(self) -> dict[str, Any]:
        """What decides which pairs are seen, by split; a run resumes where it is equal only."""
        return {"train": self.training.identity(), "validation": self.validation.identity()}


@overload
def build_model(recipe: Recipe) -> AIMv2: ...
@overload
def build_model(recipe: AIMv1Recipe) -> AIMv1: ...
def build_model(recipe: AnyRecipe) -> AnyModel:
    """A freshly drawn model; the same for the same seed, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        return model_of(recipe)


def open_data(recipe: AnyRecipe, run: Path | None = None) -> RunData:
    """Open the recipe's sources, and its tokenizer if it reads text; one already saved in the run folder is used again.

    Raises ValueError when the tokenizer has more entries than the recipe's vocabulary, and the errors of `open_source`
    and `load_tokenizer`.
    """
    splits = [open_mixture(split, recipe.data, recipe.encoder.image_size) for split in ("train", "validation")]
    tokenizer = _open_tokenizer(recipe, splits[0], run) if isinstance(recipe, Recipe) else None
    training, validation = (PairDataset(s, tokenizer, recipe, training=s is splits[0]) for s in splits)
    return RunData(training, validation, tokenizer)


def _open_tokenizer(recipe: Recipe, source: MixedSource, run: Path | None) -> CaptionTokenizer:
    """The run's tokenizer, or else the recipe's; raises ValueError when the recipe's vocabulary is smaller."""
    if run is not None and is_run(run):
        tokenizer = load_tokenizer(str(run / TOKENIZER))
    else:
        tokenizer = load_tokenizer(recipe.data.tokenizer, recipe.decoder.vocabulary, lambda: _captions(source))
    tokenizer.check_vocabulary(recipe.decoder.vocabulary)
    return tokenizer


def _captions(source: MixedSource) -> list[str]:
    """Every caption of evenly spaced pairs. Damaged pairs are passed over here; batches replace and count them."""
    found: list[str] = []
    for index in range(0, len(source), math.ceil(len(source) / TOKENIZER_CAPTIONS)):
        with suppress(DamagedPair):
            pair = source[index]
            found += pair.captions + pair.synthetic
    return found


@torch.no_grad()
def validation_losses(engine: LocalEngine, dataset: PairDataset, recipe: AnyRecipe, run: Path) -> dict[str, float]:
    """The losses over the first `validation_batches` batches of the validation split, the same ones every time.

    Fewer, or one smaller one, where more would hold a pair twice. Damaged pairs are replaced as in training, and listed
    in the run folder's damage_validation.jsonl.
    """
    training, pairs = recipe.training, dataset.order.before_repeats()
    size = min(training.batch_size, pairs)
    steps = min(training.validation_batches, pairs // size)
    if steps * size < training.batch_size * training.validation_batches:
        warnings.warn(
            f"validation uses {steps * size} pairs, not training.validation_batches = {training.validation_batches} of "
            f"{training.batch_size}: among more, pairs of {_first_used_up(dataset)} would be there twice",
            stacklevel=2,
        )
    parts = list(batches(dataset, size, 0, steps, recipe.data.workers))
    replaced = [found for batch in parts for found in batch.replaced]
    damage = DamageLog(run, recipe.data.damage_limit, "damage_validation.jsonl")
    damage.record(replaced, dataset.samples_by_source(steps * size))
    counts = [loss_counts(batch, recipe) for batch in parts]
    whole = LossCounts(sum(c.patches for c in counts), sum(c.tokens for c in counts))
    engine.model.eval()
    shares = [
        torch.stack(batch_losses(engine, micro_batch.to(engine.device), whole, recipe))
        for batch in parts
        for micro_batch in batch.split(recipe.training.micro_batch_size)
    ]
    engine.model.train()
    total, pixel, text = torch.stack(shares).sum(dim=0).tolist()
    return {"total": total, "pixel": pixel, "text": text}


def _first_used_up(dataset: PairDataset) -> str:
    return dataset.source.names[dataset.order.place(dataset.order.before_repeats()).source]


def pretrain(recipe: AnyRecipe, run: Path, resume: bool = False) -> LocalEngine:
    """Train a recipe into a run folder and return the engine with the trained model.

    With `resume`, continues exactly: the same batches, prefixes and losses as without the interruption; a folder that
    holds no run yet is started. Raises FileExistsError for a folder in use, ValueError for another recipe or other
    data, FloatingPointError when a loss is not finite, TooMuchDamage when too many pairs had to be replaced.
    """
    checkpoint = find_checkpoint(run, recipe, resume)
    data = open_data(recipe, run)
    engine = LocalEngine(build_model(recipe), recipe.training, pick_device())
    data.training[0], data.validation[0]  # what cannot be read fails here, before anything is written
    if is_run(run):
        refuse_other_data(run, data.identity)
    else:
        create_run(run, recipe, data.tokenizer, data.identity)
    if checkpoint is not None:
        state = load_checkpoint(checkpoint, engine)
        refuse_other_state(checkpoint, state, engine.steps_done * recipe.training.batch_size, data.identity)
    metrics = Metrics(run, engine.steps_done)
    try:
        train(engine, data, recipe, run, metrics)
    finally:
        metrics.close()
    return engine


def train(engine: LocalEngine, data: RunData, recipe: AnyRecipe, run: Path, metrics: Metrics) -> None:
    """Take every step that is left, with logging, validation and checkpoints when they are due.

    Raises FloatingPointError for a loss that is not finite, TooMuchDamage for too many replaced pairs.
    """
    training, size = recipe.training, recipe.training.batch_size
    damage = DamageLog(run, recipe.data.damage_limit)
    engine.model.train()
    since, done_then = time.perf_counter(), engine.steps_done
    steps_left = training.steps - engine.steps_done
    parts = batches(data.training, size, engine.steps_done * size, steps_left, recipe.data.workers)
    with tqdm(total=training.steps, initial=engine.steps_done, desc=recipe.name, unit="step") as bar:
        for batch in parts:
            result = train_step(engine, batch.to(engine.device), loss_counts(batch, recipe), recipe)
            step = engine.steps_done
            damage.record(batch.replaced, data.training.samples_by_source(step * size))
            bar.update()
            saves = _due(step, training.checkpoint_every, recipe)
            validates = _due(step, training.validate_every, recipe)
            if saves or validates or _due(step, training.log_every, recipe):
                values = {name: value.item() for name, value in result._asdict().items()}
                _refuse_non_finite(values, step, batch, run)
                rate = (step - done_then) * size / (time.perf_counter() - since)
                metrics.write("train", step, **values, images_per_second=rate)
                losses = {name: f"{values[name]:.3f}" for name in ("pixel", "text")}
                bar.set_postfix(losses, images_per_s=f"{rate:.0f}")
                if validates:
                    metrics.write("validation", step, **validation_losses(engine, data.validation, recipe, run))
                if saves:
                    state = {"consumed_samples": step * size, "data": data.identity}
                    save_checkpoint(run, engine, state, training.checkpoints_kept)
                since, done_then = time.perf_counter(), step


def _due(step: int, every: int, recipe: AnyRecipe) -> bool:
    """Whether something done every so many steps is due after this one; the last step always is."""
    return step % every == 0 or step == recipe.training.steps


def _refuse_non_finite(values: dict[str, float], step: int, batch: Batch, run: Path) -> None:
    """Losses are read every `log_every` steps, so the step and the pairs named are where it was noticed."""
    bad = {name: value for name, value in values.items() if not math.isfinite(value)}
    if bad:
        raise FloatingPointError(
            f"noticed at step {step}: {bad}; the pairs of this step are {', '.join(batch.keys[:8])} …. The newest "
            f"checkpoint from before is {newest_checkpoint(run)}. Start again with a lower training.peak_lr, or with "
            "training.log_every = 1 to find the step where it begins"
        )
