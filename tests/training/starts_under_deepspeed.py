"""Fine-tunes, pairs two towers, distils, adapts and trains rival objectives and at native resolution on every rank that
a launcher started, each once more from the middle: … CHECKPOINT FOLDER

Beside CHECKPOINT lies one of a whole model, `whole`, for adaptation. DeepSpeed takes a whole process.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from aimv2_lab.recipes import ContrastiveRecipe, DistillationRecipe, FinetuneRecipe, RivalRecipe
from aimv2_lab.training.finetune import finetune
from aimv2_lab.training.loop import pretrain
from aimv2_lab.training.sharded.engine import DeepSpeedEngine, start_ranks
from tests.native_toy import many_sizes
from tests.training.adaptation_toy import adapting
from tests.training.contrastive_toy import paired
from tests.training.distillation_toy import distilling
from tests.training.finetune_toy import TUNING, tuning
from tests.training.rivals_toy import world_rival
from tests.training.traces import SHARDED


def recipes(start: Path) -> Mapping[str, FinetuneRecipe | ContrastiveRecipe | DistillationRecipe | RivalRecipe]:
    """What is run, by the run's folder."""
    lit: dict[str, Any] = {"start": str(start), "image_tower": "frozen"}
    return {
        "full": tuning(start, "full"),
        "lora": tuning(start, "lora"),
        "lit": paired(**lit).change(TUNING),
        "sigmoid": paired(loss="sigmoid").change(TUNING),
        "distilled": distilling(str(start), pretraining_weight=1.0).change(TUNING),
        "adapted": adapting(start.with_name("whole")),
        "image-only": world_rival("image-only"),
        "cappa": world_rival("cappa"),
        "masked-image": world_rival("masked-image"),
        "native": many_sizes(),
    }


STAGES: Mapping[str, Mapping[str, Any]] = {
    "full": {"engine.zero_stage": 2},
    "lora": SHARDED,
    "lit": SHARDED,
    "sigmoid": {"engine.zero_stage": 1},
    "distilled": SHARDED,
    "adapted": SHARDED,
    "image-only": {"engine.zero_stage": 2},
    "cappa": SHARDED,
    "masked-image": SHARDED,
    "native": SHARDED,
}

if __name__ == "__main__":
    start, folder = map(Path, sys.argv[1:])
    ranks = start_ranks()
    for name, known in recipes(start).items():
        recipe, run = known.change(STAGES[name]), folder / f"{name} sharded"
        for resume in (False, True):
            if isinstance(recipe, FinetuneRecipe):
                finetune(recipe, run, resume, ranks, DeepSpeedEngine)
            else:
                pretrain(recipe, run, resume, ranks, DeepSpeedEngine)
            if not resume:
                ranks.on_first(partial(shutil.rmtree, run / "checkpoints/step-00000006"))
