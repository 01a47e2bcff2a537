"""A grid of runs for scaling laws: encoders of four sizes, each trained on four numbers of samples.

As in the paper (section 3.1, Figure 2) the decoder is the same for all sizes. Every cell is a run with a schedule of
its own; the paper takes one run a size and cools it down at intermediate checkpoints. Sizes and numbers are our choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from aimv2_lab.evaluation.ablations.toys import AIMV2, CAPTION_TOKENS, WORLD
from aimv2_lab.evaluation.ablations.variants import Variant
from aimv2_lab.recipes import EncoderRecipe, Recipe
from aimv2_lab.training.plan.flops import picture_flops

SIZES: Mapping[str, EncoderRecipe] = {
    f"{width} x {depth}": replace(AIMV2.encoder, width=width, depth=depth, heads=heads, hidden=width * 8 // 3)
    for width, depth, heads in ((24, 2, 1), (48, 2, 2), (72, 3, 3), (120, 4, 4))
}
SAMPLES = (6_400, 12_800, 25_600, 51_200)
SCENES = 60_000  # more than the most samples: no scene is seen twice


@dataclass(frozen=True)
class Cell:
    """An encoder and how many samples it is trained on."""

    size: str
    samples: int

    @property
    def name(self) -> str:
        """Of its run."""
        return f"{self.size.replace(' ', '')}-{self.samples}"

    @property
    def recipe(self) -> Recipe:
        """The toy with this encoder and as many steps; the warm-up is a share of them."""
        steps = self.samples // AIMV2.training.batch_size
        training = replace(AIMV2.training, steps=steps, validate_every=steps, warmup_steps=steps // 25)
        return replace(
            AIMV2,
            encoder=SIZES[self.size],
            data=replace(AIMV2.data, source=f"{WORLD}:{SCENES}"),
            training=training,
        )

    @property
    def parameters(self) -> int:
        """N, those of the encoder's blocks, which is where the sizes differ."""
        encoder = self.recipe.encoder
        return encoder.depth * (4 * encoder.width**2 + 3 * encoder.width * encoder.hidden)

    @property
    def flops(self) -> float:
        """C, those of the whole run."""
        return self.samples * picture_flops(self.recipe, CAPTION_TOKENS).step


CELLS: Mapping[str, Cell] = {cell.name: cell for cell in (Cell(size, samples) for size in SIZES for samples in SAMPLES)}
VARIANTS: Mapping[str, Variant] = {name: Variant(cell.recipe) for name, cell in CELLS.items()}
