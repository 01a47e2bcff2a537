"""Batches of pairs: what each position of a run holds, the same for any number of ranks and workers."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from aimv2_lab.data.batch import Batch, Sample, batch_of
from aimv2_lab.data.classes import UnknownClass
from aimv2_lab.data.damage import DamagedCaption, DamagedPair, Replacement, TooMuchDamage
from aimv2_lab.data.images import decode_image, decode_pixels
from aimv2_lab.data.mixture import MixedSource
from aimv2_lab.data.order import ORDER_VERSION, Place, Stream, draw_patch_order, sample_generator
from aimv2_lab.data.preprocessing import evaluation_picture
from aimv2_lab.data.records import Pair, Source
from aimv2_lab.data.tokenizer import NoTokens
from aimv2_lab.data.transforms import pixel_scale, training_picture
from aimv2_lab.data.workers import prepare_worker, shared
from aimv2_lab.recipes import AnyRecipe, EncoderAttention, MaskedImageRecipe

__all__ = ["Batch", "PairDataset", "Sample", "Tokenizer", "batches", "draw_prefix_length"]

REPLACEMENT_TRIES = 16  # a source in which 16 drawn pairs in a row are damaged is no source; our choice
VALIDATION_SEED = 0  # the same views in the same order for every run, whatever its seed


class Tokenizer(Protocol):
    """What batches need of a tokenizer."""

    @property
    def pad_id(self) -> int:
        """The token that fills up shorter captions."""
        ...

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[Tensor, Tensor]:
        """Tokens (B, T) int64 and which of them count (B, T) bool; raises ValueError for a text without tokens."""
        ...


class PairDataset(Dataset[Sample]):
    """The sample at any global position of a run, a pure function of (source, recipe, position).

    Training: the order, the caption of several, crop and flip, the prefix length, uniform on 1 … I - 1 (paper,
    section 2.2), whether CapPa predicts a caption all at once, and which patches are masked, come from generators keyed
    by (seed, epoch, position), which count each source of a mixture by itself.

    Validation: a fixed shuffled order, the first caption, predicted token by token, the central view, and prefix
    lengths and masks that are the same in every run. With `encoder_attention` "causal" every prefix length is 1, which
    is causal; with "bidirectional" it is I, so that no patch counts.

    Without a tokenizer captions are left alone: every sample has no tokens.

    A damaged pair is replaced by another of the same source, drawn by (seed, epoch, position), and reported. Raises
    ValueError for an empty source, an encoder of one patch or a recipe that reads text without a tokenizer,
    TooMuchDamage where 16 draws in a row are damaged.
    """

    def __init__(
        self, source: Source | MixedSource, tokenizer: Tokenizer | None, recipe: AnyRecipe, training: bool
    ) -> None:
        if tokenizer is None and recipe.text_tokens:
            raise ValueError(f"recipe {recipe.name} reads {recipe.text_tokens} text tokens: it needs a tokenizer")
        if recipe.encoder.patches < 2:
            raise ValueError(
                f"encoder.image_size = {recipe.encoder.image_size} with encoder.patch_size = "
                f"{recipe.encoder.patch_size} gives one patch: a prefix and something to predict need two"
            )
        self.source = source if isinstance(source, MixedSource) else MixedSource((source,))
        self.tokenizer = tokenizer
        self.recipe = recipe
        self.training = training
        self.seed = recipe.training.seed if training else VALIDATION_SEED
        self.order = self.source.order(self.seed)
        self.synthetic_shares = [part.synthetic_share for part in recipe.data.parts]

    def identity(self) -> dict[str, Any]:
        """What decides which pair stands where and what is read of it: a run resumes where it is unchanged."""
        parts = zip(self.source.parts, self.source.weights, self.synthetic_shares, strict=True)
        sources = {  # by number: names may change where folders are moved
            str(number): {
                "weight": weight,
                "pairs": len(part),
                "shards": len(part.shards),
                "fingerprint": part.fingerprint,
                "synthetic_share": share,
            }
            for number, (part, weight, share) in enumerate(parts, start=1)
        }
        return {"order": ORDER_VERSION, "sources": sources}

    def samples_by_source(self, samples: int) -> dict[str, int]:
        """How many of the first `samples` samples of the run come from each source, by its name."""
        return dict(zip(self.source.names, self.order.counts(samples), strict=True))

    def samples_before(self, step: int) -> int:
        """How many samples the steps before this one hold."""
        return step * self.recipe.training.batch_size

    def __getitem__(self, global_position: int) -> Sample:
        place = self.order.place(global_position)
        name, pairs = self.source.names[place.source], len(self.source.parts[place.source])
        damaged: list[DamagedPair] = []
        replacements = None
        while len(damaged) < REPLACEMENT_TRIES:
            try:
                sample = self._sample(place, global_position)
            except DamagedPair as damage:
                damaged.append(damage)
                replacements = replacements or self._draws(place, "replacement")
                place = place._replace(row=int(replacements.integers(pairs)))
            else:
                found = tuple(
                    Replacement(global_position, pair.key, pair.reason, sample.key, place.source) for pair in damaged
                )
                return replace(sample, replaced=found)
        raise TooMuchDamage(
            f"position {global_position} of {name}: {REPLACEMENT_TRIES} pairs drawn in a row are damaged; "
            f"the first: {', '.join(str(damage) for damage in damaged[:3])}"
        )

    def _draws(self, place: Place, stream: Stream) -> np.random.Generator:
        return sample_generator(self.seed, place.epoch, place.position, stream, place.source)

    def _sample(self, place: Place, global_position: int) -> Sample:
        """The pair at a place, seen as its epoch and position say; raises DamagedPair."""
        draws = partial(self._draws, place)
        pair = self.source.pair(place.source, place.row)
        size, data = self.recipe.encoder.image_size, self.recipe.data
        if self.training:
            picture = training_picture(decode_pixels(pair.image, pair.key), data, size, draws("crop"))
        else:
            picture = evaluation_picture(decode_image(pair.image, pair.key), size)
        attention, patches = self.recipe.objective.encoder_attention, self.recipe.encoder.patches
        prefix_length = draw_prefix_length(attention, patches, draws("prefix"))
        tokens, counted = self._tokens(pair, self.synthetic_shares[place.source], draws)
        return Sample(picture, tokens, counted, prefix_length, pair.key, (), *self._rival_draws(draws))

    def _rival_draws(self, draws: Callable[[Stream], np.random.Generator]) -> tuple[bool | None, Tensor | None]:
        """Whether the caption is predicted all at once, and an order of the patches: each where the recipe has it."""
        share = self.recipe.objective.parallel_share
        parallel = bool(draws("parallel").random() < share) if share and self.training else None
        if not isinstance(self.recipe, MaskedImageRecipe):
            return parallel, None
        return parallel, torch.from_numpy(draw_patch_order(self.recipe.encoder.patches, draws("mask")))

    def _tokens(
        self, pair: Pair, synthetic_share: float, draws: Callable[[Stream], np.random.Generator]
    ) -> tuple[Tensor, Tensor]:
        """Tokens (T,) and which count, of a caption drawn in training, of the first one otherwise."""
        if self.tokenizer is None:
            return torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.bool)
        generator, texts = draws("caption"), pair.captions or pair.synthetic
        if self.training and pair.captions and pair.synthetic and generator.random() < synthetic_share:
            texts = pair.synthetic
        text = texts[int(generator.integers(len(texts))) if self.training else 0]
        try:  # punctuation alone has no tokens where the tokenizer drops it
            tokens, counted = self.tokenizer.encode([text], self.recipe.text_tokens)
        except NoTokens as error:
            raise DamagedCaption(pair.key, f"no tokens: {error}") from None
        except UnknownClass as error:
            raise ValueError(f"{pair.key}: {error}") from None
        return tokens[0], counted[0]

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Put samples together, captions padded to the longest of them, or to all text tokens where some are predicted
        all at once."""
        filling = 0 if self.tokenizer is None else self.tokenizer.pad_id
        return batch_of(samples, filling, self.recipe.text_tokens, pixel_scale(self.recipe.data))


def draw_prefix_length(attention: EncoderAttention, patches: int, generator: np.random.Generator) -> int:
    """M of one image: uniform on 1 … I - 1 (paper, section 2.2).

    For the ablations it is fixed: at 1 for "causal" attention, which M = 1 is, and at I for "bidirectional", where the
    whole picture is seen and no patch is left to count.
    """
    fixed = {"causal": 1, "bidirectional": patches}
    return fixed[attention] if attention in fixed else int(generator.integers(1, patches))


class _PositionSampler(Sampler[list[int]]):
    """One rank's positions of every batch."""

    def __init__(self, positions: Callable[[int], range], steps: int) -> None:
        self.positions, self.steps = positions, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        return (list(self.positions(step)) for step in range(self.steps))


class _Batches(Dataset["Batch | Exception"]):
    """Batches by their positions, or the error met there.

    Errors that end a run plainly are handed over: a loader would raise one whose message is a worker's traceback.
    """

    def __init__(self, dataset: PairDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, positions: list[int]) -> Batch | Exception:
        try:
            batch = self.dataset.collate([self.dataset[position] for position in positions])
            worker = get_worker_info()
            return batch if worker is None else shared(batch, worker.num_workers)
        except (ValueError, OSError, TooMuchDamage) as error:
            if get_worker_info() is not None:  # where it was raised is lost on the way
                error.add_note(traceback.format_exc())
            return error


def _raised(batch: Batch | Exception) -> Batch:
    if isinstance(batch, Exception):
        raise batch
    return batch


def batches(
    dataset: PairDataset,
    batch_size: int,
    start_position: int,
    steps: int,
    workers: int,
    rank: int = 0,
    world_size: int = 1,
    *,
    pinned: bool = False,
) -> Iterator[Batch]:
    """This rank's part of `steps` consecutive global batches, the first of which begins at `start_position`.

    A global batch holds `batch_size` consecutive positions whatever the ranks and workers; rank r has the r-th of
    `world_size` equal runs of them. The state of the iteration is the position alone. `pinned` batches lie in memory
    that a GPU fetches from by itself, where a thread puts them if there are workers. Raises ValueError where
    `batch_size` is not a multiple of `world_size` or the rank is not below it; as it is read, what the source raises,
    the same from a worker as without one.
    """
    if batch_size < 1 or batch_size % world_size or not 0 <= rank < world_size:
        raise ValueError(f"batch size {batch_size} cannot be cut into {world_size} equal parts (rank {rank})")
    rank_batch_size = batch_size // world_size
    first = start_position + rank * rank_batch_size

    def positions(step: int) -> range:
        return range(first + step * batch_size, first + step * batch_size + rank_batch_size)

    return loaded(dataset, positions, steps, workers, pinned=pinned)


def loaded(
    dataset: PairDataset, positions: Callable[[int], range], steps: int, workers: int, *, pinned: bool
) -> Iterator[Batch]:
    """Batches of the positions that this rank has at step 0, 1, … of `steps`; see `batches`."""
    loader = DataLoader(
        _Batches(dataset),
        batch_size=None,  # a batch is an item
        sampler=_PositionSampler(positions, steps),
        num_workers=workers,
        worker_init_fn=prepare_worker,
        pin_memory=pinned,
        # A generator of its own: else making the loader would draw from torch's global one.
        generator=torch.Generator(),
    )
    return map(_raised, loader)
