"""Pre-train a recipe:  python -m aimv2_lab.launch.pretrain --recipe small --data DIR

The same module under a launcher trains on many ranks with DeepSpeed:
deepspeed --module aimv2_lab.launch.pretrain --recipe aimv2-large-224 --data DIR, or torchrun, or srun.
`--rival cappa` trains a rival objective on the encoder, data and training of the recipe: image-only, caption-only,
caption-only-bidirectional, cappa, clip, siglip, masked-image.
Every field of the recipe can be set, e.g. `--training.steps 500`; `--recipe NAME --help` lists them with their values.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from aimv2_lab.launch.command import LaunchedRecipe, Options, end_plainly, read_command, train_as_launched
from aimv2_lab.launch.start import StartOptions
from aimv2_lab.recipes import ContrastiveRecipe, Recipe
from aimv2_lab.training.loop import pretrain
from aimv2_lab.training.run.folder import read_metrics


def run_pretraining(options: Options | StartOptions[Recipe]) -> None:
    """Train, then print the last validation losses."""
    if not options.recipe.data.source and not options.recipe.data.mixture:
        raise ValueError(
            f"recipe {options.recipe.name} names no data: add --data FOLDER, FILE, HUB_NAME or SOURCES.json"
        )
    run = options.run or Path("runs") / options.recipe.name
    engine = train_as_launched(pretrain, options.recipe, run, options.resume)
    if not engine.ranks.is_first:
        return
    last = read_metrics(run, "validation")[-1]
    print(f"step {last['step']}: validation {_shown(last, options.recipe)}; run in {run}")


def _shown(losses: Mapping[str, float], recipe: LaunchedRecipe) -> str:
    """What the recipe learns, by name."""
    if isinstance(recipe, ContrastiveRecipe):
        return f"loss {losses['total']:.3f}, {losses['matched']:.1%} matched"
    pixel = [f"pixel loss {losses['pixel']:.3f}"] if recipe.objective.target != "none" else []
    return ", ".join(pixel + ([f"caption loss {losses['text']:.3f}"] if recipe.text_tokens else []))


def main() -> None:
    """Run the command line."""
    end_plainly(lambda: run_pretraining(read_command(sys.argv[1:], "pretrain", rivals=True)))


if __name__ == "__main__":
    main()
