"""Started on two ranks by test_zero_bytes: what DeepSpeed's stages hold after a backward pass, in bytes a parameter.

python -m torch.distributed.run --nproc-per-node 2 -m tests.training.plan.zero_bytes FILE
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aimv2_lab.lessons.zero_ranks import alive, storages
from aimv2_lab.model.models import model_of
from aimv2_lab.recipes import recipe
from aimv2_lab.training.optimizers.building import build_optimizer

CASES = [(stage, "float32") for stage in (0, 1, 2, 3)] + [(stage, "bfloat16") for stage in (1, 2, 3)]
KNOWN = recipe("tiny", {"encoder.depth": 2, "decoder.depth": 2})


def configuration(stage: int, weights: str, ranks: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "train_batch_size": 2 * ranks,
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 2,
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {"stage": stage, "reduce_bucket_size": 1_000},  # buckets are planned apart
        "steps_per_print": 10**9,
    }
    if weights == "bfloat16":
        made["bf16"] = {"enabled": True}
        if stage == 1:
            made["data_types"] = {"grad_accum_dtype": "fp32"}
    return made


def held(deepspeed: Any, stage: int, weights: str, ranks: int) -> dict[str, float]:
    """Bytes a parameter after the first of two micro-batches of the second step."""
    size = KNOWN.encoder.image_size
    images = torch.zeros(1, 3, size, size, dtype=getattr(torch, weights))
    tokens = torch.zeros(1, 3, dtype=torch.long)
    before = alive()
    model = model_of(KNOWN)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    optimizer = build_optimizer(model, KNOWN.training)
    engine = deepspeed.initialize(model=model, config=configuration(stage, weights, ranks), optimizer=optimizer)[0]
    for micro_batch in range(3):
        engine.backward(sum(out.float().mean() for out in engine(images, tokens)))
        if micro_batch < 2:
            engine.step()
    kinds = {"weights": storages(model.parameters())}
    inner = getattr(engine.optimizer, "optimizer", engine.optimizer)
    groups = [parameter for group in inner.param_groups for parameter in group["params"]]
    states = [value for state in inner.state.values() for value in state.values() if isinstance(value, Tensor)]
    kinds["optimizer"] = {at: n for at, n in storages([*groups, *states]).items() if at not in kinds["weights"]}
    kinds["all"] = {at: n for at, n in alive().items() if at not in before}
    engine.destroy()
    return {kind: sum(found.values()) / parameters for kind, found in kinds.items()} | {"parameters": parameters}


def main() -> None:
    """Write a JSON list of what the first rank holds in every case."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # nothing is compiled: gloo takes its place
    deepspeed.init_distributed(dist_backend="gloo", auto_mpi_discovery=False)
    ranks = torch.distributed.get_world_size()
    rows = [{"stage": s, "weights_type": w, **held(deepspeed, s, w, ranks)} for s, w in CASES]
    if torch.distributed.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
