"""Muon on a CPU computes what its definition says, in full precision; SOAP's absence is explained."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor
from torch.optim import _muon

from aimv2_lab.recipes import recipe
from aimv2_lab.training.optimizers.matrix_methods import Muon, build_matrix_method, orthogonalise

COEFFICIENTS, STEPS, EPS = (3.4445, -4.7750, 2.0315), 5, 1e-7


def by_singular_values(matrix: Tensor) -> Tensor:
    """The iteration's definition in float64: singular vectors stay, each singular value goes through a polynomial."""
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    values = values / values.square().sum().sqrt()
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        values = a * values + b * values**3 + c * values**5
    return left @ torch.diag(values) @ right


@pytest.mark.parametrize("shape", [(16, 16), (12, 40), (40, 12)])
def test_orthogonalising_is_what_its_definition_says(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalise(matrix, COEFFICIENTS, STEPS, EPS)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), by_singular_values(matrix), rtol=0, atol=1e-5)
    torchs = _muon._zeropower_via_newtonschulz(matrix, COEFFICIENTS, STEPS, EPS)
    assert (torchs.double() - by_singular_values(matrix)).abs().max() > 1e-3  # in bfloat16 it could not pass


def test_a_step_on_a_cpu_is_in_float32_and_leaves_torch_as_it_was() -> None:
    torchs = _muon._zeropower_via_newtonschulz
    weight = torch.nn.Parameter(torch.zeros(6, 10))
    weight.grad = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    Muon([weight], lr=0.1, weight_decay=0.0, nesterov=False, adjust_lr_fn="match_rms_adamw").step()
    expected = -0.1 * 0.2 * 10**0.5 * by_singular_values(weight.grad)
    torch.testing.assert_close(weight.detach().double(), expected, rtol=0, atol=1e-6)
    assert _muon._zeropower_via_newtonschulz is torchs


def test_without_its_library_soap_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    training = recipe("tiny", {"training.optimizer": "soap"}).training
    with pytest.raises(
        ImportError, match=r"training\.optimizer = 'soap'.*pip install -c constraints.txt -e '\.\[soap\]'"
    ):
        build_matrix_method([torch.zeros(2, 2)], training, 0.0)
