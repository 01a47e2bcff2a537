"""Train the tiny recipe on the generated world and show what it learned:  python -m aimv2_lab.launch.demo

Scenes are rendered as it trains. Writes runs/demo: the run folder, result.json and report.png. An interrupted demo
goes on where it stopped; a finished one is only evaluated again.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from aimv2_lab.data.sources import open_source
from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.data.world.source import WorldSource
from aimv2_lab.evaluation.world import evaluate_world
from aimv2_lab.launch.command import Options, end_plainly, read_command
from aimv2_lab.report.demo import draw_report, result_table
from aimv2_lab.training.loop import build_model, pretrain
from aimv2_lab.training.run import TOKENIZER, read_metrics

RUN = Path("runs/demo")


def demo(options: Options) -> None:
    """Train, evaluate on held-out scenes, print the table, write result.json and report.png."""
    run, recipe = options.run or RUN, options.recipe
    source = open_source(recipe.data.source, "validation", recipe.data, recipe.encoder.image_size)
    if not isinstance(source, WorldSource):
        raise ValueError(
            f"the demo needs generated scenes, whose truth is known; data.source is {recipe.data.source!r}"
        )
    model = pretrain(recipe, run, resume=True).model.eval().cpu()
    tokenizer = load_tokenizer(str(run / TOKENIZER))
    print("evaluating on held-out scenes …", flush=True)
    result = evaluate_world(model, build_model(recipe), source, tokenizer)
    losses = read_metrics(run, "validation")[-1]
    (run / "result.json").write_text(json.dumps({"losses": losses, **asdict(result)}, indent=2) + "\n")
    draw_report(model, source, result, read_metrics(run)).savefig(run / "report.png")
    print(result_table(result, losses))
    print(f"report: {run / 'report.png'}   checkpoint and resolved recipe: {run}")


def main() -> None:
    """Run the command line."""
    end_plainly(lambda: demo(read_command(sys.argv[1:], "demo")))


if __name__ == "__main__":
    main()
