"""Fine-tunes on every rank that a launcher started, under several ZeRO stages:  … CHECKPOINT FOLDER

DeepSpeed takes a whole process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from aimv2_lab.training.deepspeed_engine import DeepSpeedEngine, start_ranks
from aimv2_lab.training.finetune import finetune
from tests.training.tuning_toy import tuning

RUNS: tuple[tuple[Literal["full", "lora", "frozen"], int], ...] = (("full", 2), ("lora", 1), ("lora", 3), ("frozen", 3))

if __name__ == "__main__":
    start, folder = map(Path, sys.argv[1:])
    ranks = start_ranks()
    for method, stage in RUNS:
        recipe = tuning(start, method, **{"engine.zero_stage": stage})
        run = folder / f"{method}-{stage}"
        finetune(recipe, run, ranks=ranks, make_engine=DeepSpeedEngine)
