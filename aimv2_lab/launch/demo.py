"""Train the tiny recipe on the generated world and show what it learned:  python -m aimv2_lab.launch.demo

Scenes are rendered as it trains. Writes runs/demo: the run folder, result.json and report.png. An interrupted demo
goes on where it stopped; a finished one is only evaluated again.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.evaluation.world import evaluate_world, world_source
from aimv2_lab.formats.folder import TOKENIZER
from aimv2_lab.launch.command import Options, end_plainly, read_command
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import Recipe
from aimv2_lab.report.bands import TINY_SEEDS, Band, band_for
from aimv2_lab.report.demo import draw_report, end_values, result_table, seed_lines
from aimv2_lab.report.stored import load_result
from aimv2_lab.training.loop import build_model, pretrain
from aimv2_lab.training.run.folder import read_metrics

RUN = Path("runs/demo")


def demo(options: Options) -> None:
    """Train, evaluate on held-out scenes, print the table, write result.json and report.png."""
    run, recipe = options.run or RUN, options.recipe
    if not isinstance(recipe, Recipe):
        raise ValueError(f"the demo shows captions, and recipe {recipe.name} writes none; launch pretrain in its place")
    source = world_source(recipe)
    band, note = comparable_band(recipe)
    model = pretrain(recipe, run, resume=True).model.eval().cpu()
    assert isinstance(model, AIMv2)
    tokenizer = load_tokenizer(str(run / TOKENIZER))
    print("evaluating on held-out scenes …", flush=True)
    result = evaluate_world(model, build_model(recipe), source, tokenizer)
    losses = read_metrics(run, "validation")[-1]
    (run / "result.json").write_text(json.dumps({"losses": losses, **asdict(result)}, indent=2) + "\n")
    draw_report(model, source, result, read_metrics(run), band).savefig(run / "report.png")
    print(result_table(result, losses))
    if band is not None:
        note = seed_lines(read_metrics(run, "train"), band, load_result(TINY_SEEDS), end_values(result, losses))
    print(note)
    print(f"report: {run / 'report.png'}   checkpoint and resolved recipe: {run}")


def comparable_band(recipe: Recipe) -> tuple[Band | None, str]:
    """The band of other seeds of this recipe; for another recipe None, and a line that says what differs."""
    try:
        return band_for(recipe), ""
    except ValueError as error:
        return None, f"is this run normal? No other seeds to compare it with: {error}\n"


def main() -> None:
    """Run the command line."""
    end_plainly(lambda: demo(read_command(sys.argv[1:], "demo")))


if __name__ == "__main__":
    main()
