"""The vision encoder: equal to the released AIMv2 encoder on the same weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple, overload

import torch
from einops import rearrange
from torch import Tensor, nn

from aimv2_lab.model.layers import Block, FeedForward, Norm, SwiGLU, initialise_block
from aimv2_lab.model.masks import check_prefix_lengths, prefix_mask
from aimv2_lab.model.patches import check_image_size
from aimv2_lab.model.pooling import PoolingHead
from aimv2_lab.model.positions import sincos_at, sincos_positions
from aimv2_lab.model.sizes import alike, strips_of, whole_patches
from aimv2_lab.model.strips import Strips
from aimv2_lab.recipes import AnyRecipe, EncoderRecipe, TrunkRecipe


class Features(NamedTuple):
    """One layer's features: `dense` (B, rows, columns, D), their `mean` (B, D), and what the encoder's pooling head
    reads off them, `pooled` (B, D), None where there is no head or it does not read this layer."""

    dense: Tensor
    mean: Tensor
    pooled: Tensor | None


class VisionEncoder(nn.Module):
    """A ViT whose attention can hide everything behind a prefix of patches.

    Built from a recipe, without a pooling head; `head` has one where such an encoder was loaded, and no other method
    than `features` uses it. Patches are projected (with bias), RMS-normalised, given positions, passed through pre-norm
    blocks and normalised once more. Raises TypeError for the recipe of another kind of encoder. Source: released code;
    sizes from paper, Table 1.
    """

    # What AIM v1's trunk has otherwise.
    norm_type: Norm = nn.RMSNorm
    feed_forward_type: FeedForward = SwiGLU
    recipe_type: type[EncoderRecipe | TrunkRecipe] = EncoderRecipe

    def __init__(self, recipe: AnyRecipe | EncoderRecipe | TrunkRecipe) -> None:
        super().__init__()
        self.recipe = recipe if isinstance(recipe, EncoderRecipe | TrunkRecipe) else recipe.encoder
        if not isinstance(self.recipe, self.recipe_type):
            kinds = f"{self.recipe_type.__name__}, not {type(self.recipe).__name__}"
            raise TypeError(f"{type(self).__name__} is built from {kinds}; AIM v1's encoder is AIMv1Trunk")
        width, size, eps = self.recipe.width, self.recipe.patch_size, self.recipe.norm_eps
        self.patch_projection = nn.Conv2d(3, width, kernel_size=size, stride=size)
        self.patch_norm = self.norm_type(width, eps=eps)
        table = torch.empty(self.recipe.patches, width) if self.recipe.positions == "learned" else None
        self.positions = None if table is None else nn.Parameter(table)
        self.blocks = nn.ModuleList(
            Block(width, self.recipe.heads, self.recipe.hidden, eps, self.norm_type, self.feed_forward_type)
            for _ in range(self.recipe.depth)
        )
        self.norm = self.norm_type(width, eps=eps)
        self.head: PoolingHead | None = None
        self._initialise()

    def forward(
        self,
        images: Tensor,
        prefix_lengths: Tensor | None = None,
        visible: Tensor | None = None,
        strips: Strips | None = None,
    ) -> Tensor:
        """Features (B, I, D), after the final norm, of normalised float images (B, 3, height, width).

        `prefix_lengths` (B,), each in 1 … I-1, hides from patch i every later patch outside its image's prefix; None,
        the choice at inference, lets all patches see each other. `visible` (B, V) names the patches that are computed
        at all, for masked image modelling, or all in another order; features, and the prefix, are then in that order.
        With `strips`, images (B, 3, patch size, N * patch size) are strips of pictures of many sizes; the features of
        their padding mean nothing. Raises ValueError for images whose sides are not a multiple of the patch size or do
        not fit a learned position table, for prefix lengths out of range, and for visible beside strips.
        """
        if strips is not None:
            if visible is not None:
                raise ValueError("visible beside strips: patches of pictures of many sizes are all computed, in order")
            return self.norm(self._last_of_strips(images, prefix_lengths, strips))
        if visible is not None:
            return self.norm(self._visible_stream(images, prefix_lengths, visible))
        for stream in self.residual_stream(images, prefix_lengths):
            last = stream
        return self.norm(last)

    def residual_stream(self, images: Tensor, prefix_lengths: Tensor | None = None) -> Iterator[Tensor]:
        """The residual stream (B, I, D) as it goes: first what enters block 0, then what leaves each block, not normed.

        One at a time, so that none is kept longer than it is needed; takes and raises what `forward` does.
        """
        stream = self.embed(images)
        mask = _mask(prefix_lengths, stream)
        yield stream
        for block in self.blocks:
            stream = block(stream, mask)
            yield stream

    def _visible_stream(self, images: Tensor, prefix_lengths: Tensor | None, visible: Tensor) -> Tensor:
        """The residual stream (B, V, D) behind the last block, of the patches named, each at its own position."""
        stream = self.embed(images)
        stream = stream.gather(1, visible[:, :, None].expand(-1, -1, stream.shape[-1]))
        mask = _mask(prefix_lengths, stream)
        for block in self.blocks:
            stream = block(stream, mask)
        return stream

    def strip_stream(self, images: Tensor, strips: Strips, prefix_lengths: Tensor | None = None) -> Iterator[Tensor]:
        """`residual_stream` of pictures of many sizes, in strips, each in a row of its own."""
        stream = self._embed_strips(images, strips)
        if prefix_lengths is not None:
            check_prefix_lengths(prefix_lengths, len(images), strips.patch_counts)
        mask = strips.mask(prefix_lengths, stream.shape[1])
        yield stream
        for block in self.blocks:
            stream = block(stream, mask)
            yield stream

    def residual_streams(self, images: Sequence[Tensor]) -> Iterator[tuple[list[int], Iterator[Tensor]]]:
        """`residual_stream` of images (3, height, width), each of its own size, those of like size together: the
        numbers of some images, and their stream (B, N, D), in which what lies behind an image's patches means nothing.

        Raises what `forward` does.
        """
        for group in alike([self._grid(image[None]) for image in images]):
            together = [images[number] for number in group]
            if self.positions is not None:  # which lets one size pass
                yield group, self.residual_stream(torch.stack(together))
            else:
                yield group, self.strip_stream(*strips_of(together, self.recipe.patch_size))

    def _last_of_strips(self, images: Tensor, prefix_lengths: Tensor | None, strips: Strips) -> Tensor:
        """The residual stream (B, N, D) behind the last block, of strips, in rows of their own or packed."""
        rows = strips.encoder_rows
        if rows is None:
            for stream in self.strip_stream(images, strips, prefix_lengths):
                last = stream
            return last
        if prefix_lengths is not None:
            check_prefix_lengths(prefix_lengths, len(images), strips.patch_counts)
        packed = rows.pack(self._embed_strips(images, strips))
        mask = rows.mask(strips.patch_counts if prefix_lengths is None else prefix_lengths)
        for block in self.blocks:
            packed = block(packed, mask)
        return rows.unpack(packed, len(images))

    def hidden_states(self, images: Tensor, prefix_lengths: Tensor | None = None) -> list[Tensor]:
        """The whole residual stream: entry 0 enters block 0, entry i leaves block i-1, counting from 0."""
        return list(self.residual_stream(images, prefix_lengths))

    @overload
    def features(self, images: Tensor, layer: int | None = None, normed: bool = True) -> Features: ...
    @overload
    def features(self, images: Sequence[Tensor], layer: int | None = None, normed: bool = True) -> list[Features]: ...
    def features(
        self, images: Tensor | Sequence[Tensor], layer: int | None = None, normed: bool = True
    ) -> Features | list[Features]:
        """A layer's features, as a map and pooled, of normalised images (B, 3, height, width) seen whole.

        Of a list of images (3, height, width), each of its own size, it is a list of such, each with B = 1: computed
        together where sizes are alike, equal to one by one. Sides that are no multiple of the patch size are resized as
        `whole_patches` does. `layer` counts as in `hidden_states`, 0 … depth, and None is the last; later blocks are
        not computed. `normed` applies the final norm, to any layer. The pooling head reads the last layer, normed.
        Raises ValueError for a layer that is not there, and what `forward` does.
        """
        layer = len(self.blocks) if layer is None else layer
        if not 0 <= layer <= len(self.blocks):
            raise ValueError(f"layer = {layer}; this encoder has 0 (what enters the first block) … {len(self.blocks)}")
        if isinstance(images, Tensor):
            (stream,) = islice(self.residual_stream(images), layer, layer + 1)
            return self._read(stream, self._grid(images), layer, normed)
        found = dict[int, Features]()
        whole = [whole_patches(image, self.recipe.patch_size) for image in images]
        for group, streams in self.residual_streams(whole):
            (stream,) = islice(streams, layer, layer + 1)
            for number, tokens in zip(group, stream, strict=True):
                rows, columns = self._grid(whole[number][None])
                found[number] = self._read(tokens[None, : rows * columns], (rows, columns), layer, normed)
        return [found[number] for number in range(len(whole))]

    def _read(self, stream: Tensor, grid: tuple[int, int], layer: int, normed: bool) -> Features:
        """What `features` says of a residual stream (B, I, D)."""
        tokens = self.norm(stream) if normed else stream
        pooled = self.head(tokens) if self.head is not None and normed and layer == len(self.blocks) else None
        dense = rearrange(tokens, "b (rows columns) d -> b rows columns d", rows=grid[0], columns=grid[1])
        return Features(dense, tokens.mean(dim=1), pooled)

    def embed(self, images: Tensor) -> Tensor:
        """Patch tokens (B, I, D) with their positions: the norm comes before the positions, nothing after."""
        rows, columns = self._grid(images)
        tokens = rearrange(self.patch_projection(images), "b d rows columns -> b (rows columns) d")
        tokens = tokens.to(self.patch_projection.weight.dtype)  # autocast left them bfloat16; the stream is not
        return self.patch_norm(tokens) + self._positions(rows, columns, tokens)

    def _embed_strips(self, images: Tensor, strips: Strips) -> Tensor:
        """Patch tokens (B, N, D) with each picture's own positions; raises ValueError for a position table."""
        if self.positions is not None:
            raise ValueError(
                f"strips of pictures of many sizes need sine-cosine positions; this encoder has a table for "
                f"{self.recipe.image_size} x {self.recipe.image_size}: build one with positions='sincos'"
            )
        self._grid(images)
        tokens = rearrange(self.patch_projection(images), "b d 1 patches -> b patches d")
        tokens = tokens.to(self.patch_projection.weight.dtype)  # as in `embed`
        x, y = strips.coordinates(tokens.shape[1])
        return self.patch_norm(tokens) + sincos_at(x, y, tokens.shape[-1]).to(tokens.dtype)

    def _grid(self, images: Tensor) -> tuple[int, int]:
        """(rows, columns) of patches, or ValueError for images this encoder cannot read."""
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(f"images must be float (B, 3, height, width), not {images.dtype} {tuple(images.shape)}")
        height, width, size = *images.shape[-2:], self.recipe.patch_size
        check_image_size(height, width, size)
        expected = self.recipe.image_size
        if self.positions is not None and (height, width) != (expected, expected):
            raise ValueError(
                f"images of {height} x {width} do not fit this encoder's position table for {expected} x {expected}; "
                "resize them, load the encoder with image_size, or build one with positions='sincos'"
            )
        return height // size, width // size

    def _positions(self, rows: int, columns: int, tokens: Tensor) -> Tensor:
        if self.positions is not None:
            return self.positions
        return sincos_positions(rows, columns, tokens.shape[-1], tokens.device).to(tokens.dtype)

    def _initialise(self) -> None:
        """Xavier uniform linears, the patch projection as one, positions normal 0.02 (released training code)."""
        projection = self.patch_projection
        nn.init.xavier_uniform_(projection.weight.view(projection.out_channels, -1))
        if projection.bias is not None:
            nn.init.zeros_(projection.bias)
        if self.positions is not None:
            nn.init.normal_(self.positions, std=0.02)
        for block in self.blocks:
            assert isinstance(block, Block)
            initialise_block(block)


def _mask(prefix_lengths: Tensor | None, stream: Tensor) -> Tensor | None:
    """The prefix mask of a residual stream (B, I, D); raises ValueError for prefix lengths out of range."""
    if prefix_lengths is None:
        return None
    batch, patches, _ = stream.shape
    check_prefix_lengths(prefix_lengths, batch, patches)
    return prefix_mask(prefix_lengths, patches)
