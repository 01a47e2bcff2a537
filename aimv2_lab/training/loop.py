"""Pre-training from recipe to run folder: the loop around the step."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm.auto import tqdm

from aimv2_lab.data.batches import Batch, PairDataset, batches
from aimv2_lab.data.damage import DamageLog
from aimv2_lab.data.records import Source
from aimv2_lab.data.sources import open_source
from aimv2_lab.data.tokenizer import CaptionTokenizer, load_tokenizer
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.objective import LossCounts
from aimv2_lab.recipes import Recipe
from aimv2_lab.training.checkpoint import load_checkpoint, save_checkpoint
from aimv2_lab.training.engine import LocalEngine, pick_device
from aimv2_lab.training.run import TOKENIZER, Metrics, create_run, find_checkpoint
from aimv2_lab.training.step import batch_losses, loss_counts, train_step

TOKENIZER_CAPTIONS = 20_000  # captions that a tokenizer of the run's own is trained on, at most; our choice


@dataclass(frozen=True)
class RunData:
    """The two splits of a run and the tokenizer that reads their captions."""

    training: PairDataset
    validation: PairDataset
    tokenizer: CaptionTokenizer


def build_model(recipe: Recipe) -> AIMv2:
    """A freshly drawn model; the same for the same seed, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        return AIMv2(recipe)


def open_data(recipe: Recipe, run: Path | None = None) -> RunData:
    """Open the recipe's source and tokenizer; a tokenizer already saved in the run folder is used again.

    Raises ValueError when the tokenizer has more entries than the recipe's vocabulary, and the errors of `open_source`
    and `load_tokenizer`.
    """
    splits = [
        open_source(recipe.data.source, s, recipe.data, recipe.encoder.image_size) for s in ("train", "validation")
    ]
    saved = run / TOKENIZER if run is not None else None
    if saved is not None and saved.exists():
        tokenizer = load_tokenizer(str(saved))
    else:
        tokenizer = load_tokenizer(recipe.data.tokenizer, recipe.decoder.vocabulary, lambda: _captions(splits[0]))
    tokenizer.check_vocabulary(recipe.decoder.vocabulary)
    training, validation = (PairDataset(s, tokenizer, recipe, training=s is splits[0]) for s in splits)
    return RunData(training, validation, tokenizer)


def _captions(source: Source) -> list[str]:
    """Every caption of evenly spaced pairs."""
    stride = math.ceil(len(source) / TOKENIZER_CAPTIONS)
    return [caption for index in range(0, len(source), stride) for caption in source[index].captions]


@torch.no_grad()
def validation_losses(engine: LocalEngine, dataset: PairDataset, recipe: Recipe) -> dict[str, float]:
    """The losses over the first `validation_batches` batches of the validation split, the same ones every time."""
    size = min(recipe.training.batch_size, len(dataset.source))
    steps = max(min(recipe.training.validation_batches, len(dataset.source) // size), 1)
    parts = list(batches(dataset, size, 0, steps, recipe.data.workers))
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


def pretrain(recipe: Recipe, run: Path, resume: bool = False) -> LocalEngine:
    """Train a recipe into a run folder and return the engine with the trained model.

    With `resume`, continues exactly: the same batches, prefixes and losses as without the interruption; a folder that
    holds no run yet is started. Raises FileExistsError for a folder in use, ValueError for another recipe or other
    data, FloatingPointError when a loss is not finite, TooMuchDamage when too many pairs had to be replaced.
    """
    checkpoint = find_checkpoint(run, recipe, resume)
    data = open_data(recipe, run)
    engine = LocalEngine(build_model(recipe), recipe.training, pick_device())
    if checkpoint is None:
        create_run(run, recipe, data.tokenizer)
    else:
        _refuse_other_data(load_checkpoint(checkpoint, engine), data.training.source, checkpoint)
    metrics, damage = Metrics(run, engine.steps_done), DamageLog(run, recipe.data.damage_limit)
    try:
        _train(engine, data, recipe, run, metrics, damage)
    finally:
        metrics.close()
    return engine


def _train(engine: LocalEngine, data: RunData, recipe: Recipe, run: Path, metrics: Metrics, damage: DamageLog) -> None:
    """Every step that is left, with progress bar, logging, validation and checkpoints when they are due."""
    training, size = recipe.training, recipe.training.batch_size
    steps_left = training.steps - engine.steps_done
    engine.model.train()
    bar = tqdm(total=training.steps, initial=engine.steps_done, desc=recipe.name, unit="step")
    since, done_then = time.perf_counter(), engine.steps_done
    for batch in batches(data.training, size, engine.steps_done * size, steps_left, recipe.data.workers):
        result = train_step(engine, batch.to(engine.device), loss_counts(batch, recipe), recipe)
        step = engine.steps_done
        damage.record(batch.replaced, step * size)
        bar.update()
        saves = _due(step, training.checkpoint_every, recipe)
        if saves or _due(step, training.log_every, recipe):
            values = {name: value.item() for name, value in result._asdict().items()}
            _refuse_non_finite(values, step, batch, run)
            rate = (step - done_then) * size / (time.perf_counter() - since)
            since, done_then = time.perf_counter(), step
            metrics.write("train", step, **values, images_per_second=rate)
            bar.set_postfix(pixel=f"{values['pixel']:.3f}", text=f"{values['text']:.3f}", images_per_s=f"{rate:.0f}")
        if _due(step, training.validate_every, recipe):
            metrics.write("validation", step, **validation_losses(engine, data.validation, recipe))
        if saves:
            state = {"data_fingerprint": data.training.source.fingerprint, "consumed_samples": step * size}
            save_checkpoint(run, engine, state, training.checkpoints_kept)
    bar.close()


def _due(step: int, every: int, recipe: Recipe) -> bool:
    """Whether something done every so many steps is due after this one; the last step always is."""
    return step % every == 0 or step == recipe.training.steps


def _refuse_non_finite(values: dict[str, float], step: int, batch: Batch, run: Path) -> None:
    bad = {name: value for name, value in values.items() if not math.isfinite(value)}
    if bad:
        raise FloatingPointError(
            f"step {step}: {bad} on the pairs {', '.join(batch.keys[:8])} …; the newest checkpoint in {run} is from "
            "before. Look at these pairs, or start again with a lower training.peak_lr"
        )


def _refuse_other_data(state: dict[str, object], source: Source, checkpoint: Path) -> None:
    if state["data_fingerprint"] != source.fingerprint:
        raise ValueError(
            f"{checkpoint} was trained on other data than {source.name}: fingerprint {state['data_fingerprint']} then, "
            f"{source.fingerprint} now. Resume with the data it was started on, or start a new run folder."
        )
