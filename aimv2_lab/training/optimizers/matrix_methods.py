"""SOAP and Muon, which precondition a weight matrix as a whole, from their libraries; Muon in float32 on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

import torch
from torch import Tensor
from torch.optim import Optimizer, _muon

from aimv2_lab.recipes import TrainingRecipe

SOAP_PACKAGE = "pytorch_optimizer"
LONGEST_SIDE = 10_000  # SOAP leaves a side of more rows or columns as it is (its reference code)


def build_matrix_method(matrices: list[Tensor], training: TrainingRecipe, weight_decay: float) -> Optimizer:
    """SOAP or Muon over matrices (rows, columns), with the recipe's rate and torch's meaning of `weight_decay`.

    SOAP has the recipe's betas and renews its bases every 10 steps, as its paper does (arXiv 2409.11321). Muon's step
    is scaled to the mean size of AdamW's (arXiv 2502.16982), so that one learning rate serves both. Raises ImportError
    with the command that installs SOAP where its library is missing.
    """
    if training.optimizer == "muon":
        return Muon(
            matrices, lr=training.peak_lr, weight_decay=weight_decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
        )
    return soap_class()(
        matrices,
        lr=training.peak_lr,
        betas=training.betas,
        eps=training.adam_eps,
        weight_decay=weight_decay,
        precondition_frequency=10,
        max_precondition_dim=LONGEST_SIDE,
    )


def soap_class() -> Callable[..., Optimizer]:
    """SOAP of its library; raises ImportError with the command that installs it where it is missing."""
    try:
        soap: Callable[..., Optimizer] = import_module(SOAP_PACKAGE).SOAP
    except ImportError as error:
        raise ImportError(
            f"training.optimizer = 'soap' needs {SOAP_PACKAGE}: pip install -c constraints.txt -e '.[soap]', or "
            "choose adamw or muon, which torch has"
        ) from error
    return soap


class Muon(torch.optim.Muon):
    """torch's Muon, computed in the gradient's own precision on a CPU.

    torch orthogonalises in bfloat16 wherever it runs; a CPU without bfloat16 arithmetic emulates it, many times slower.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        device = self.param_groups[0]["params"][0].device
        if device.type != "cpu":
            return super().step(closure)
        with _in_own_precision():
            return super().step(closure)


@contextmanager
def _in_own_precision() -> Iterator[None]:
    """Let torch's Muon call our `orthogonalise`: which function it calls is no argument of it."""
    torch_own = _muon._zeropower_via_newtonschulz
    _muon._zeropower_via_newtonschulz = orthogonalise
    try:
        yield
    finally:
        _muon._zeropower_via_newtonschulz = torch_own


def orthogonalise(grad: Tensor, ns_coefficients: tuple[float, float, float], ns_steps: int, eps: float) -> Tensor:
    """Newton-Schulz iterations that draw the singular values of a matrix (rows, columns) to about 1.

    What torch's `_zeropower_via_newtonschulz` does, in the matrix's own precision; it is called by torch, hence the
    names. Source: Muon's reference code.
    """
    a, b, c = ns_coefficients
    tall = grad.shape[0] > grad.shape[1]
    found = grad.T if tall else grad
    found = found / found.norm().clamp(min=eps)  # so that no singular value is above 1
    for _ in range(ns_steps):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.T if tall else found
