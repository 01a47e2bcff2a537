"""The same three verbs under DeepSpeed: ZeRO's shards, several ranks, offload.

What DeepSpeed keeps out of: the order of the data, the learning rate, the precision of arithmetic, the optimizer and
the checkpoints are the same code as without it, so that a run can go on under the other engine.
"""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic

import torch
from torch import Tensor, distributed, nn

from aimv2_lab.recipes import AnyRecipe
from aimv2_lab.training.blocks import prepare_blocks
from aimv2_lab.training.engine import ModelT, in_precision
from aimv2_lab.training.optimizers.building import build_optimizer, check_matrix_optimizer, set_learning_rate
from aimv2_lab.training.optimizers.state import optimizer_tensors, restore_optimizer
from aimv2_lab.training.ranks import Ranks, launched
from aimv2_lab.training.sharded.config import deepspeed_config
from aimv2_lab.training.sharded.refusals import check_users_settings, refused_by_name
from aimv2_lab.training.sharded.state import gathered_state, gathered_weights, restore_pieces

# How long a rank waits for one that lives but does not come; torch's own limits for gloo and NCCL. On the host the
# first rank may be opening data or writing a checkpoint; the collectives of the devices come after what is slow.
HOST_PATIENCE, DEVICE_PATIENCE = timedelta(minutes=30), timedelta(minutes=10)


def start_ranks() -> Ranks:
    """Join the processes that a launcher has started: deepspeed, torchrun or srun; alone, be one of one.

    On a CPU nothing is compiled: DeepSpeed's shared-memory collective is left unbuilt, gloo takes its place. Raises
    ConnectionError where the port is in use or the first rank cannot be reached.
    """
    cpu = not _on_cuda()
    _name_ranks()
    if cpu:
        os.environ["DS_ACCELERATOR"] = "cpu"
    else:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    deepspeed = quiet_deepspeed(cpu)
    place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    try:
        backend = "gloo" if cpu else "nccl"
        deepspeed.init_distributed(dist_backend=backend, auto_mpi_discovery=False, timeout=DEVICE_PATIENCE)
    except (RuntimeError, distributed.DistError) as error:
        raise ConnectionError(
            f"rank {os.environ['RANK']} could not meet the others at {place}: {str(error).splitlines()[0]}. Where the "
            "port is in use, name another: --master_port of deepspeed and torchrun, MASTER_PORT under srun"
        ) from error
    group = distributed.new_group(backend="gloo", timeout=HOST_PATIENCE)
    return Ranks(distributed.get_rank(), distributed.get_world_size(), group)


def quiet_deepspeed(cpu: bool) -> Any:
    """DeepSpeed's module, imported late because it takes seconds and is not needed by one process alone."""
    # Stage 3 says at every step that torch is going to rename two of its collectives.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed\.c10d_logger")
    import deepspeed
    import deepspeed.ops

    if cpu:
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


def _name_ranks() -> None:
    """Set the variables that torch reads, where the launcher was srun or nobody."""
    if "RANK" in os.environ:
        return
    if launched():
        os.environ.update(
            RANK=os.environ["SLURM_PROCID"],
            LOCAL_RANK=os.environ["SLURM_LOCALID"],
            WORLD_SIZE=os.environ["SLURM_STEP_NUM_TASKS"],
        )
        os.environ.setdefault("MASTER_ADDR", os.environ.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"))
        os.environ.setdefault("MASTER_PORT", str(15_000 + int(os.environ.get("SLURM_JOB_ID", 0)) % 20_000))
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))


class DeepSpeedEngine(Generic[ModelT]):
    """Drives a model through DeepSpeed; every method is called by all ranks, in the same order.

    DeepSpeed takes the model over when it is first needed, so that what `restore` brings is there before it shards it.
    Raises ValueError as `deepspeed_config`, `check_users_settings` and `check_matrix_optimizer` do.
    """

    def __init__(self, model: ModelT, recipe: AnyRecipe, ranks: Ranks, log: Path | None = None) -> None:
        check_matrix_optimizer(recipe)
        self.model, self.ranks, self.recipe, self.training = model, ranks, recipe, recipe.training
        self.device = torch.device("cuda", torch.cuda.current_device()) if _on_cuda() else torch.device("cpu")
        self.steps_done = 0
        self.log = log
        self.config = deepspeed_config(recipe, ranks.size)
        check_users_settings(recipe, ranks.size)
        # The losses of all ranks and micro-batches are shares that add up; DeepSpeed would average them.
        self._shares = ranks.size * self.config["gradient_accumulation_steps"]

    @cached_property
    def wrapped(self) -> Any:
        """DeepSpeed's own engine; the first one who asks for it raises what `refused_by_name` does."""
        deepspeed = quiet_deepspeed(not _on_cuda())
        prepare_blocks(self.model, self.recipe.engine)
        optimizer = build_optimizer(self.model, self.training)
        take_over = partial(deepspeed.initialize, model=self.model, config=self.config, optimizer=optimizer)
        with _noise_kept_in(self.log, self.ranks):
            return self.ranks.together(partial(refused_by_name, take_over, self.recipe))[0]

    @property
    def is_sharded(self) -> bool:
        """Whether ZeRO holds the optimizer's state, and perhaps more, in pieces."""
        return self.recipe.engine.zero_stage > 0

    def forward(self, *inputs: Tensor | None) -> Any:
        """What the model makes of its inputs, in the recipe's precision, by the whole weights."""
        with in_precision(self.training, self.device):
            return self.wrapped(*inputs)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a share of the loss; after the last micro-batch's the ranks' are added up."""
        self.wrapped.backward(loss * self._shares)
        if not self.wrapped.is_gradient_accumulation_boundary():
            self.wrapped.step()  # counts the micro-batch

    def step(self) -> Tensor:
        """Clip, update the weights with this step's learning rate, clear the gradients; returns the gradient norm."""
        set_learning_rate(self.wrapped.optimizer, self.steps_done, self.training)
        norm = None if self.is_sharded else _norm(self.model)
        self.wrapped.step()
        self.steps_done += 1
        norm = self.wrapped.get_global_grad_norm() if norm is None else norm
        return torch.as_tensor(norm, dtype=torch.float32, device=self.device)  # ZeRO has a plain inf where it overflows

    def weights(self) -> dict[str, Tensor]:
        """Every weight, whole, in float32 on the CPU, on the first rank; nothing on the others."""
        if not self.is_sharded:
            return self._kept(self.model.named_parameters())
        return self._kept(gathered_weights(self.model))

    def optimizer_state(self) -> dict[str, Tensor]:
        """The optimizer's tensors by `<state>.<parameter>`, whole, on the first rank; nothing on the others.

        Nothing before the first step either, when no optimizer has any.
        """
        if not self.steps_done:
            return {}
        if not self.is_sharded:
            return optimizer_tensors(self.wrapped.optimizer, self.model) if self.ranks.is_first else {}
        return self._kept(gathered_state(self.wrapped.optimizer, self.model))

    def restore(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor], steps_done: int) -> None:
        """Go on from what an engine of either kind had, before the first step is taken here."""
        self.model.load_state_dict(weights)
        if self.is_sharded:
            restore_pieces(self.wrapped.optimizer, self.model, weights, state)
        else:
            restore_optimizer(self.wrapped.optimizer, self.model, state)
        self.steps_done = steps_done

    def _kept(self, tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
        """All are gone through, because gathering one needs every rank; the first rank alone keeps them."""
        kept = {}
        for name, tensor in tensors:
            if self.ranks.is_first:
                kept[name] = tensor.detach().to("cpu", copy=True).contiguous()
        return kept


@contextmanager
def _noise_kept_in(log: Path | None, ranks: Ranks) -> Iterator[None]:
    """Let DeepSpeed write what it has to say into a file, its bare prints too; the first rank's only."""
    from deepspeed.utils import logger

    if log is None or not ranks.is_first:
        logger.setLevel(logging.ERROR)
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            yield
        return
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.addHandler(logging.FileHandler(log))
    with log.open("a") as said, redirect_stdout(said):
        yield


def _on_cuda() -> bool:
    return os.environ.get("DS_ACCELERATOR") != "cpu" and torch.cuda.is_available()


def _norm(model: nn.Module) -> Tensor:
    """The gradients' norm, before DeepSpeed clips them without telling it."""
    return torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
