"""Fine-tunes on every rank that a launcher started, and once more from the middle:  … CHECKPOINT FOLDER

DeepSpeed takes a whole process.
"""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Literal

from aimv2_lab.training.deepspeed_engine import DeepSpeedEngine, start_ranks
from aimv2_lab.training.finetune import finetune
from tests.training.finetune_toy import tuning
from tests.training.traces import SHARDED

RUNS: tuple[tuple[Literal["full", "lora"], int], ...] = (("full", 2), ("lora", 3))

if __name__ == "__main__":
    start, folder = map(Path, sys.argv[1:])
    ranks = start_ranks()
    for method, stage in RUNS:
        changes = dict(SHARDED) if stage == 3 else {"engine.zero_stage": stage}
        recipe, run = tuning(start, method, **changes), folder / f"{method}-{stage}"
        for resume in (False, True):
            finetune(recipe, run, resume, ranks, DeepSpeedEngine)
            if not resume:
                ranks.on_first(partial(shutil.rmtree, run / "checkpoints/step-00000006"))
