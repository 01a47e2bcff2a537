"""Pre-train a recipe:  python -m aimv2_lab.launch.pretrain --recipe small --data DIR

The same module under a launcher trains on many ranks with DeepSpeed:
deepspeed --module aimv2_lab.launch.pretrain --recipe aimv2-large-224 --data DIR, or torchrun, or srun.
Every field of the recipe can be set, e.g. `--training.steps 500`; `--recipe NAME --help` lists them with their values.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aimv2_lab.launch.command import Options, end_plainly, read_command, train_as_launched
from aimv2_lab.training.loop import pretrain
from aimv2_lab.training.run.folder import read_metrics


def run_pretraining(options: Options) -> None:
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
    losses = f"pixel loss {last['pixel']:.3f}"
    if options.recipe.text_tokens:
        losses += f", caption loss {last['text']:.3f}"
    print(f"step {last['step']}: validation {losses}; run in {run}")


def main() -> None:
    """Run the command line."""
    end_plainly(lambda: run_pretraining(read_command(sys.argv[1:], "pretrain")))


if __name__ == "__main__":
    main()
