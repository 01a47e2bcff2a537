"""Pre-training from recipe to run folder: the loop around the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, overload

import torch
from tqdm.auto import tqdm

from aimv2_lab.data.batches import Batch, PairDataset, batches
from aimv2_lab.data.classes import ClassTokenizer
from aimv2_lab.data.damage import DamagedPair, DamageLog
from aimv2_lab.data.mixture import MixedSource, open_mixture
from aimv2_lab.data.native.dataset import NativeDataset, native_batches
from aimv2_lab.data.tokenizer import CaptionTokenizer, load_tokenizer
from aimv2_lab.formats.folder import TOKENIZER
from aimv2_lab.formats.whole import refuse_other_tokenizer
from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.classifier import Classifier
from aimv2_lab.model.distillation import Distillation
from aimv2_lab.model.models import AnyModel, model_of
from aimv2_lab.model.two_towers import TwoTowers
from aimv2_lab.recipes import (
    AIMv1Recipe,
    AnyRecipe,
    ContrastiveRecipe,
    DistillationRecipe,
    FinetuneRecipe,
    Recipe,
    is_native,
)
from aimv2_lab.training.beginnings import begin, freeze
from aimv2_lab.training.engine import Engine, LocalEngine, pick_device
from aimv2_lab.training.feed import Feed
from aimv2_lab.training.ranks import ALONE, Ranks
from aimv2_lab.training.run.agreement import in_common
from aimv2_lab.training.run.checkpoint import checkpoint_place, load_checkpoint, save_checkpoint
from aimv2_lab.training.run.folder import (
    Metrics,
    create_run,
    find_checkpoint,
    is_run,
    keep_deepspeed_file,
    refuse_other_data,
    refuse_other_state,
)
from aimv2_lab.training.run.garbage import quiet_garbage_collection
from aimv2_lab.training.run.lock import lock_run
from aimv2_lab.training.run.stopping import Preempted, stop_signal
from aimv2_lab.training.run.validation import validation_losses
from aimv2_lab.training.run.watch import Watch
from aimv2_lab.training.step import train_step

Captioned = Recipe | ContrastiveRecipe | DistillationRecipe  # what may read captions
EngineMaker = Callable[[AnyModel, AnyRecipe, Ranks], Engine]
TOKENIZER_CAPTIONS = 20_000  # captions that a tokenizer of the run's own is trained on, at most; our choice


@dataclass(frozen=True)
class RunData:
    """The two splits of a run and what reads their captions or labels, None where the recipe has no text."""

    training: PairDataset
    validation: PairDataset
    tokenizer: CaptionTokenizer | ClassTokenizer | None

    @property
    def identity(self) -> dict[str, Any]:
        """What decides which pairs are seen, by split; a run resumes where it is equal only."""
        return {"train": self.training.identity(), "validation": self.validation.identity()}


@overload
def build_model(recipe: Recipe, goes_on: bool = False) -> AIMv2: ...
@overload
def build_model(recipe: AIMv1Recipe, goes_on: bool = False) -> AIMv1: ...
@overload
def build_model(recipe: FinetuneRecipe, goes_on: bool = False) -> Classifier: ...
@overload
def build_model(recipe: ContrastiveRecipe, goes_on: bool = False) -> TwoTowers: ...
@overload
def build_model(recipe: DistillationRecipe, goes_on: bool = False) -> Distillation: ...
@overload
def build_model(recipe: AnyRecipe, goes_on: bool = False) -> AnyModel: ...
def build_model(recipe: AnyRecipe, goes_on: bool = False) -> AnyModel:
    """A freshly drawn model; the same for the same seed, whatever was drawn before.

    Where the recipe has a start or a teacher, with its weights, which raises as `begin` does; unless the run `goes_on`,
    whose checkpoint has all weights: then neither need be there any more.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        model = model_of(recipe)
        if not goes_on:
            begin(model)
        freeze(model)
        return model


def open_data(recipe: AnyRecipe, run: Path | None = None) -> RunData:
    """Open the recipe's sources, and its tokenizer if it reads text; one already saved in the run folder is used again.

    Raises ValueError when the tokenizer has more entries than the recipe's vocabulary or is not the start's, and the
    errors of `open_source` and `load_tokenizer`.
    """
    splits = [open_mixture(split, recipe.data, recipe.encoder.image_size) for split in ("train", "validation")]
    tokenizer: CaptionTokenizer | ClassTokenizer | None = None
    if isinstance(recipe, FinetuneRecipe):
        tokenizer = ClassTokenizer(recipe.classes)
    elif isinstance(recipe, Captioned) and recipe.text_tokens:
        tokenizer = _open_tokenizer(recipe, splits[0], run)
    training, validation = (_dataset(s, tokenizer, recipe, training=s is splits[0]) for s in splits)
    return RunData(training, validation, tokenizer)


def _dataset(
    source: MixedSource, tokenizer: CaptionTokenizer | ClassTokenizer | None, recipe: AnyRecipe, training: bool
) -> PairDataset:
    if is_native(recipe):
        return NativeDataset(source, tokenizer, recipe, training)
    return PairDataset(source, tokenizer, recipe, training)


def _open_tokenizer(recipe: Captioned, source: MixedSource, run: Path | None) -> CaptionTokenizer:
    """The run's tokenizer, or else the recipe's; raises ValueError when the recipe's vocabulary is smaller, and for
    another tokenizer than that of a whole model's start."""
    if run is not None and is_run(run):
        tokenizer = load_tokenizer(str(run / TOKENIZER))
    else:
        tokenizer = load_tokenizer(recipe.data.tokenizer, recipe.vocabulary, lambda: _captions(source))
        if isinstance(recipe, Recipe) and recipe.start:
            refuse_other_tokenizer(recipe.start, tokenizer)
    paired = isinstance(recipe, ContrastiveRecipe)
    tokenizer.check_vocabulary(recipe.vocabulary, "text.vocabulary" if paired else "decoder.vocabulary")
    return tokenizer.with_begin() if paired else tokenizer


def _captions(source: MixedSource) -> list[str]:
    """Every caption of evenly spaced pairs. Damaged pairs are passed over here; batches replace and count them."""
    found: list[str] = []
    for index in range(0, len(source), math.ceil(len(source) / TOKENIZER_CAPTIONS)):
        with suppress(DamagedPair):
            pair = source[index]
            found += pair.captions + pair.synthetic
    return found


def local_engine(model: AnyModel, recipe: AnyRecipe, ranks: Ranks) -> LocalEngine:
    """The engine of one process alone."""
    return LocalEngine(model, recipe.training, pick_device())


def pretrain(
    recipe: AnyRecipe, run: Path, resume: bool = False, ranks: Ranks = ALONE, make_engine: EngineMaker = local_engine
) -> Engine:
    """Train a recipe into a run folder and return the engine with the trained model; called by all ranks.

    With `resume`, continues exactly: the same batches, prefixes and losses as without the interruption, whatever the
    ranks and the engine were before; a folder that holds no run yet is started. Raises FileExistsError for a folder in
    use, ValueError for another recipe or other data, FloatingPointError when a loss is not finite or beyond its limit,
    TooMuchDamage when too many pairs had to be replaced, Preempted after SIGTERM, RankFailed where one rank fails.
    """
    begun, checkpoint = ranks.together(lambda: (is_run(run), find_checkpoint(run, recipe, resume)))
    data = ranks.one_first(lambda: open_data(recipe, run))
    ranks.agree(ranks.together(lambda: in_common(recipe, data.identity, data.tokenizer, checkpoint)))
    engine = ranks.together(lambda: make_engine(build_model(recipe, goes_on=checkpoint is not None), recipe, ranks))
    # What cannot be read fails here, before anything is written.
    ranks.together(lambda: (data.training[0], data.validation[0]))
    with ranks.together(lambda: _taken(run, recipe, begun, checkpoint) if ranks.is_first else nullcontext()):
        if begun:
            ranks.together(lambda: refuse_other_data(run, data.identity))
        else:
            ranks.on_first(lambda: create_run(run, recipe, data.tokenizer, data.identity))
        if checkpoint is not None:
            state = load_checkpoint(checkpoint, engine)
            consumed = data.training.samples_before(engine.steps_done)
            ranks.together(lambda: refuse_other_state(checkpoint, state, consumed, data.identity))
        ranks.on_first(lambda: keep_deepspeed_file(run, recipe, engine.steps_done))
        with ranks.together(lambda: Metrics(run, engine.steps_done, writes=ranks.is_first)) as metrics:
            train(engine, data, recipe, run, metrics)
            ranks.on_first(metrics.close)
    return engine


def _taken(run: Path, recipe: AnyRecipe, begun: bool, checkpoint: Path | None) -> IO[str]:
    """The run's lock; raises FileExistsError where another process has it, or has gone on since this one looked."""
    run.mkdir(parents=True, exist_ok=True)
    lock = lock_run(run)
    if (is_run(run), find_checkpoint(run, recipe, resume=True)) != (begun, checkpoint):
        lock.close()
        raise FileExistsError(f"another process has just trained in {run}: give the command again")
    return lock


def train(engine: Engine, data: RunData, recipe: AnyRecipe, run: Path, metrics: Metrics) -> None:
    """Take every step that is left, with logging, validation and checkpoints when they are due.

    Every rank takes its part of the same batches. Raises what `pretrain` does once it has begun.
    """
    training, ranks = recipe.training, engine.ranks
    parts = _steps_left(engine, data.training, recipe)
    damage = DamageLog(run, recipe.data.damage_limit)
    engine.model.train()
    with stop_signal() as told_to_stop, _progress_bar(engine, recipe) as bar, quiet_garbage_collection():
        feed = Feed(parts, engine, recipe, told_to_stop)
        watch = Watch(engine, feed, recipe, run)
        while engine.steps_done < training.steps:
            fed = feed.next()
            if fed is None:
                watch.read()  # what is saved must have been looked at
                raise Preempted(engine.steps_done, _saved(engine, data, recipe, run))
            batch, counts, replaced = fed
            result = train_step(engine, batch, counts, recipe)
            watch.add(batch.keys, counts, result)
            bar.update()
            step = engine.steps_done
            seen = data.training.samples_by_source(data.training.samples_before(step))
            validates, saves = (_due(step, n, recipe) for n in (training.validate_every, training.checkpoint_every))
            reads = validates or saves or _due(step, training.log_every, recipe)
            if replaced or reads:
                ranks.on_first(partial(damage.record, ranks.joined(batch.replaced), seen))
            if reads:
                values = watch.read()
                record = values | {f"samples/{name}": count for name, count in seen.items()}
                ranks.on_first(partial(metrics.write, "train", step, **record))
                bar.set_postfix({name: f"{values[name]:.3f}" for name in result._fields[1:-1]})
            if validates:
                held_out = validation_losses(engine, data.validation, recipe, run)
                ranks.on_first(partial(metrics.write, "validation", step, **held_out))
            if saves:
                _save(engine, data, recipe, run)
            if reads:
                watch.begin()  # what was measured of validation and saving is no part of the rates


def _steps_left(engine: Engine, dataset: PairDataset, recipe: AnyRecipe) -> Iterator[Batch]:
    """This rank's part of the batch of every step that is left."""
    done, ranks = engine.steps_done, engine.ranks
    left, workers, pinned = recipe.training.steps - done, recipe.data.workers, engine.device.type == "cuda"
    if isinstance(dataset, NativeDataset):
        return native_batches(dataset, done, left, workers, ranks.rank, ranks.size, pinned=pinned)
    size = recipe.training.batch_size
    return batches(dataset, size, done * size, left, workers, ranks.rank, ranks.size, pinned=pinned)


def _progress_bar(engine: Engine, recipe: AnyRecipe) -> tqdm:
    steps = recipe.training.steps
    first = engine.ranks.is_first
    return tqdm(total=steps, initial=engine.steps_done, desc=recipe.name, unit="step", disable=not first)


def _save(engine: Engine, data: RunData, recipe: AnyRecipe, run: Path) -> Path:
    state = {"consumed_samples": data.training.samples_before(engine.steps_done), "data": data.identity}
    return save_checkpoint(run, engine, state, recipe.training.checkpoints_kept)


def _saved(engine: Engine, data: RunData, recipe: AnyRecipe, run: Path) -> Path:
    """This step's checkpoint, which is there already where it was the last thing done."""
    place = checkpoint_place(run, engine.steps_done)
    return place if engine.ranks.from_first(place.exists) else _save(engine, data, recipe, run)


def _due(step: int, every: int, recipe: AnyRecipe) -> bool:
    """Whether something done every so many steps is due after this one; the last step always is."""
    return step % every == 0 or step == recipe.training.steps
