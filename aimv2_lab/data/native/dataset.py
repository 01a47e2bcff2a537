"""The samples and batches of a run at native resolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import cast

import torch

from aimv2_lab.data.batch import Batch, Sample, batch_of
from aimv2_lab.data.batches import PairDataset, Tokenizer, draw_prefix_length, loaded
from aimv2_lab.data.images import decode_image, decode_pixels
from aimv2_lab.data.mixture import MixedSource
from aimv2_lab.data.native.areas import Areas
from aimv2_lab.data.native.batch import NativeBatch, NativeSample
from aimv2_lab.data.native.pictures import native_evaluation_picture, native_training_picture, padded_strip, strip_of
from aimv2_lab.data.order import Place
from aimv2_lab.data.records import Source
from aimv2_lab.data.transforms import pixel_scale
from aimv2_lab.recipes import Recipe


class NativeDataset(PairDataset):
    """As `PairDataset`, with pictures in the area of the step that their position belongs to, and prefix lengths over
    the patches that each has.

    Validation pictures have at most as many patches as one of encoder.image_size.
    """

    def __init__(
        self, source: Source | MixedSource, tokenizer: Tokenizer | None, recipe: Recipe, training: bool
    ) -> None:
        super().__init__(source, tokenizer, recipe, training)
        self.encoder, self.resolution, self.areas = recipe.encoder, recipe.resolution, Areas(recipe)

    def samples_before(self, step: int) -> int:
        """How many samples the steps before this one hold."""
        return self.areas.first(step)

    def _sample(self, place: Place, global_position: int) -> NativeSample:
        draws = partial(self._draws, place)
        pair, size = self.source.pair(place.source, place.row), self.encoder.patch_size
        if self.training:
            area = self.areas.area(self.areas.step_at(global_position))
            pixels = decode_pixels(pair.image, pair.key)
            picture = native_training_picture(pixels, self.recipe.data, area, size, draws("crop"))
        else:
            area = self.encoder.patches
            picture = native_evaluation_picture(decode_image(pair.image, pair.key), area, size)
        strip, columns = strip_of(picture, size), picture.shape[2] // size
        if self.resolution.padding == "seen":
            strip = padded_strip(strip, area, self.recipe.data.mean)
        attention = self.recipe.objective.encoder_attention
        prefix_length = draw_prefix_length(attention, strip.shape[2] // size, draws("prefix"))
        tokens, counted = self._tokens(pair, self.synthetic_shares[place.source], draws)
        return NativeSample(strip, tokens, counted, prefix_length, pair.key, (), columns=columns)

    def collate(self, samples: Sequence[Sample]) -> NativeBatch:
        """Put samples together: strips padded to the longest of them, captions too."""
        held = cast(Sequence[NativeSample], samples)
        counts = [sample.picture.shape[2] // self.encoder.patch_size for sample in held]
        mean = self.recipe.data.mean
        even = [replace(sample, picture=padded_strip(sample.picture, max(counts), mean)) for sample in held]
        filling = 0 if self.tokenizer is None else self.tokenizer.pad_id
        made = batch_of(even, filling, self.recipe.text_tokens, pixel_scale(self.recipe.data))
        return NativeBatch(
            **{field.name: getattr(made, field.name) for field in fields(Batch)},
            patch_counts=torch.tensor(counts),
            columns=torch.tensor([sample.columns for sample in held]),
            stands_for=self.recipe.training.batch_size,
        )


def native_batches(
    dataset: NativeDataset,
    first_step: int,
    steps: int,
    workers: int,
    rank: int = 0,
    world_size: int = 1,
    *,
    pinned: bool = False,
) -> Iterator[Batch]:
    """This rank's part of the batches of `steps` steps of a run.

    Rank r of R has of B pictures those from floor(B r / R) to floor(B (r + 1) / R): consecutive, and one more on some
    ranks than on others where B is no multiple of R. So what a step holds depends on (seed, step) alone. Raises
    ValueError where training.batch_size is not a multiple of `world_size` x training.micro_batch_size, because some
    micro-batch might then be empty, and what `batches` does as it is read.
    """
    nominal, micro = dataset.recipe.training.batch_size, dataset.recipe.training.micro_batch_size
    if nominal % (world_size * micro) or not 0 <= rank < world_size:
        raise ValueError(
            f"training.batch_size = {nominal} cannot be cut into {world_size} ranks (this is {rank}) x "
            f"training.micro_batch_size = {micro}"
        )

    def positions(step: int) -> range:
        first, images = dataset.areas.first(first_step + step), dataset.areas.images(first_step + step)
        return range(first + images * rank // world_size, first + images * (rank + 1) // world_size)

    found = cast("Iterator[NativeBatch]", loaded(dataset, positions, steps, workers, pinned=pinned))
    return (replace(batch, stands_for=nominal // world_size) for batch in found)
