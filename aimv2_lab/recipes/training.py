"""How a run is optimised, and how its step is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aimv2_lab.fields import check_multiple, check_range

OptimizerName = Literal["adamw", "soap", "muon"]


@dataclass(frozen=True)
class TrainingRecipe:
    """Optimisation (paper, Table A1; Adam's eps and the warm-up's start from the released training code).

    `optimizer` "soap" or "muon" has the blocks' matrices preconditioned as wholes, beside AdamW for the rest: our
    choice, for runs whose engine keeps matrices whole. `decay` says what weight_decay is multiplied by at each step:
    "decoupled" by lr / peak_lr (AIMv2), "ordinary" by lr (AIM v1).
    """

    steps: int = 1_500_000
    batch_size: int = 8192
    micro_batch_size: int = 128
    peak_lr: float = 1e-3
    min_lr: float = 1e-5
    warmup_steps: int = 12_500
    warmup_start_lr: float = 1e-6
    betas: tuple[float, float] = (0.9, 0.95)
    adam_eps: float = 1e-8
    optimizer: OptimizerName = "adamw"
    weight_decay: float = 1e-4
    decay: Literal["decoupled", "ordinary"] = "decoupled"
    gradient_clip: float = 1.0
    loss_limit: float = 3.0  # times the median of the losses before; a step beyond it stops the run; our choice
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    seed: int = 0
    log_every: int = 10
    validate_every: int = 5_000
    validation_batches: int = 8
    checkpoint_every: int = 5_000
    checkpoints_kept: int = 2

    def __post_init__(self) -> None:
        check_multiple("training.batch_size", self.batch_size, "training.micro_batch_size", self.micro_batch_size)
        every = ("log_every", "validate_every", "checkpoint_every", "checkpoints_kept", "validation_batches", "steps")
        for name, least in [(name, 1) for name in every] + [("warmup_steps", 0), ("seed", 0), ("weight_decay", 0)]:
            check_range(f"training.{name}", getattr(self, name), least)
        for name in ("peak_lr", "adam_eps", "gradient_clip"):
            check_range(f"training.{name}", getattr(self, name), 1e-20)
        check_range("training.loss_limit", self.loss_limit, 1.0)


@dataclass(frozen=True)
class EngineRecipe:
    """How the step is run, never what is learned: these change results by rounding alone. All are our choice.

    `zero_stage`, `weights`, `offload` and `deepspeed` are for runs under DeepSpeed. `weights` "bfloat16" keeps what is
    computed with in bfloat16 and float32 copies in the optimizer; "float32" keeps float32 alone, which
    `training.precision` may still compute with in bfloat16. `offload` moves the optimizer, or with stage 3 the weights
    too, to the CPU's memory. `deepspeed` names a JSON file of DeepSpeed's own whose further settings are used.
    """

    zero_stage: Literal[0, 1, 2, 3] = 1
    weights: Literal["float32", "bfloat16"] = "float32"
    activation_checkpointing: bool = False  # blocks keep only their input for the backward pass and run twice
    compile: bool = False  # torch.compile, block by block
    offload: Literal["none", "optimizer", "all"] = "none"
    deepspeed: str = ""

    def __post_init__(self) -> None:
        if self.weights == "bfloat16" and self.zero_stage == 0:
            raise ValueError(
                "engine.weights = 'bfloat16' with engine.zero_stage = 0: DeepSpeed counts Adam's steps from 1, and "
                "trains otherwise. Choose engine.zero_stage 1 … 3, or engine.weights float32"
            )
        if self.offload == "all" and self.zero_stage != 3:
            raise ValueError(
                f"engine.offload = 'all' needs engine.zero_stage = 3, not {self.zero_stage}: or 'optimizer'"
            )
        if self.offload == "optimizer" and self.zero_stage == 0:
            raise ValueError("engine.offload = 'optimizer' needs engine.zero_stage 1 … 3: stage 0 shards nothing")
