"""What a GPU is asked: which attention kernel, what share of its FLOP/s a step reaches, and where the time goes.

    python -m benchmarks.step_cuda                                       # aimv2-large-224 on one GPU, a few minutes
    python -m benchmarks.step_cuda --name aimv2-1b-224 --micro-batch 64
    python -m benchmarks.step_cuda --device cpu --name tiny --micro-batch 2 --micro-batches 2 --rounds 2 --patches 16 36

Attention: forward and backward of a prefix mask under every kernel that torch has, forced, at several lengths, each
checked against the float32 arithmetic. Step: `train_step` under LocalEngine on noise, so without loader and DeepSpeed,
plain, compiled and recomputed; pictures per second, model FLOPs utilisation (forward and twice as much backward,
nothing for what is recomputed, attention of the encoder whole and of the decoder half) of `peak` FLOP/s, memory and
losses.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
import tyro
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from aimv2_lab.model.layers import attend
from aimv2_lab.model.masks import prefix_mask
from aimv2_lab.recipes import Recipe, recipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.plan.flops import flops_utilisation
from aimv2_lab.training.step import loss_counts, train_step
from benchmarks.step import noise_batch

H100_PEAK = 989e12  # bfloat16, dense, from the data sheet; the H200 has the same
HEADS, HEAD_WIDTH = 8, 128  # aimv2-large's
TOLERANCE = 2e-2  # of bfloat16
ENGINES: dict[str, dict[str, bool]] = {
    "eager": {},
    "compiled": {"engine.compile": True},
    "compiled, recomputed": {"engine.compile": True, "engine.activation_checkpointing": True},
}
KERNELS: dict[str, list[SDPBackend]] = {
    "torch's choice": [],
    "cuDNN": [SDPBackend.CUDNN_ATTENTION],
    "memory-efficient": [SDPBackend.EFFICIENT_ATTENTION],
    "flash": [SDPBackend.FLASH_ATTENTION],  # takes no mask on a GPU: to be seen failing
    "spelled out": [SDPBackend.MATH],
}


def seconds(call: Callable[[], object], rounds: int, device: torch.device) -> float:
    """The median over the rounds after two that warm up."""
    spent = []
    for number in range(rounds + 2):
        _wait(device)
        started = time.perf_counter()
        call()
        _wait(device)
        if number >= 2:
            spent.append(time.perf_counter() - started)
    return statistics.median(spent)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def attention_table(patches: tuple[int, ...], slots: int, rounds: int, device: torch.device) -> None:
    """Milliseconds and error of every kernel with the prefix mask, and of the causal kernel, the bound without one."""
    half = torch.bfloat16 if device.type == "cuda" else torch.float32
    for length in patches:
        batch = max(slots // length, 2)
        shape = (batch, HEADS, length, HEAD_WIDTH)
        inputs = [torch.randn(shape, device=device, dtype=half, requires_grad=True) for _ in range(3)]
        mask = prefix_mask(torch.randint(1, length, (batch,), device=device), length)
        queries, keys, values = (given[:2].float() for given in inputs)
        exact = attend(queries, keys, values, mask[:2]).detach()
        for name, kernels in KERNELS.items():
            print(
                f"{length:5} patches, {name:17} {_attention(kernels, inputs, mask, exact, rounds, device)}", flush=True
            )
        print(f"{length:5} patches, {'causal, no mask':17} {_attention([], inputs, None, None, rounds, device)}")


def _attention(
    kernels: list[SDPBackend],
    inputs: list[Tensor],
    mask: Tensor | None,
    exact: Tensor | None,
    rounds: int,
    device: torch.device,
) -> str:
    queries, keys, values = inputs

    def run() -> Tensor:
        said = attend(queries, keys, values, mask, causal=mask is None)
        said.backward(torch.ones_like(said))
        return said

    def forced() -> Tensor:
        if not kernels:
            return run()
        with sdpa_kernel(kernels):
            return run()

    try:
        said = forced()[:2].float()
    except RuntimeError as error:
        return f"not available: {str(error).splitlines()[0][:80]}"
    off = 0.0 if exact is None else ((said - exact).norm() / exact.norm()).item()
    if off > TOLERANCE:
        return f"WRONG: off by {off:.1e}"
    return f"{1000 * seconds(forced, rounds, device):9.3f} ms   off by {off:.0e}"


def step_table(plan: Recipe, tokens: int, rounds: int, peak: float, device: torch.device) -> None:
    """Speed, utilisation, memory and losses of a step, for every way to run blocks; a profile of the compiled ones."""
    batch = noise_batch(plan, plan.training.batch_size, tokens)
    counts, there = loss_counts(batch, plan), batch.to(device)
    mean = batch.counted_tokens / len(batch)
    for name, changes in ENGINES.items():
        changed = plan.change(changes)
        engine = LocalEngine(build_model(changed).train(), changed.training, device)
        losses: list[Tensor] = []

        def step(engine: LocalEngine = engine, losses: list[Tensor] = losses) -> None:
            losses.append(train_step(engine, there, counts, plan).total)

        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        rate = len(batch) / seconds(step, rounds, device)
        used = flops_utilisation(plan, rate, peak, round(mean))
        memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else float("nan")
        trace = " ".join(f"{loss.item():.4f}" for loss in losses[:4])
        print(f"{name:21} {rate:8.1f} pictures/s   MFU {used:.3f}   {memory:6.1f} GiB   losses {trace}", flush=True)
        if name == "compiled":
            _profile(step, device)
        del engine, step


def _profile(step: Callable[[], None], device: torch.device) -> None:
    on_gpu = device.type == "cuda"
    kinds = [ProfilerActivity.CPU, ProfilerActivity.CUDA] if on_gpu else [ProfilerActivity.CPU]
    with profile(activities=kinds) as seen:
        step()
        _wait(device)
    order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    print(seen.key_averages().table(sort_by=order, row_limit=15, max_name_column_width=60))


def main(
    name: str = "aimv2-large-224",
    micro_batch: int = 128,
    micro_batches: int = 4,
    tokens: int = 38,
    rounds: int = 8,
    patches: tuple[int, ...] = (256, 576, 1024),
    peak: float = H100_PEAK,
    device: str = "cuda",
) -> None:
    """Print both tables. Captions have `tokens` tokens in the mean; attention gets 65,536 slots on a GPU."""
    place = torch.device(device)
    on_gpu = place.type == "cuda"
    print(
        f"torch {torch.__version__}, {torch.cuda.get_device_name() if on_gpu else 'CPU'}, {name}, {micro_batch} pairs"
    )
    attention_table(patches, 65_536 if on_gpu else 32, rounds, place)
    torch.manual_seed(0)
    plan = recipe(name)
    if not isinstance(plan, Recipe):
        raise ValueError(f"recipe {name} has no captions: this benchmark is AIMv2's")
    sizes = {"training.batch_size": micro_batch * micro_batches, "training.micro_batch_size": micro_batch}
    step_table(plan.change(sizes), tokens, rounds, peak, place)


if __name__ == "__main__":
    tyro.cli(main)
