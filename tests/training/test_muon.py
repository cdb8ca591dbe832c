"""Muon in single precision: torch's steps without its cast, and what the iteration promises."""

import numpy as np
import pytest
import torch

from polymlops.training.muon import Muon, orthogonalised

SHAPES = ((6, 6), (6, 6), (4, 9), (9, 4))
DEFAULTS = (3.4445, -4.775, 2.0315), 5, 1e-7


def parameters(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def trained(optimizer, of, steps=4):
    """Parameters after steps towards a matrix of ones; each gets its first gradient one step after the last."""
    for step in range(steps):
        loss = sum((parameter - 1).pow(2).sum() for parameter in of[: 1 + step])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return [parameter.detach() for parameter in of]


def test_its_steps_are_those_of_torch_in_single_precision(monkeypatch):
    ours, theirs = parameters(1), parameters(1)
    settings = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.01}
    trained(Muon(ours, **settings), ours)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    trained(torch.optim.Muon(theirs, **settings), theirs)
    for mine, other, before in zip(ours, theirs, parameters(1), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
        assert (mine - before).abs().max() > 0.01


@pytest.mark.parametrize("shape", [(7, 7), (4, 9), (9, 4)])
def test_singular_vectors_stay_and_values_go_through_the_polynomial(shape):
    of = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    left, values, right = np.linalg.svd(of.numpy(), full_matrices=False)
    (a, b, c), steps, _ = DEFAULTS
    values = values / np.linalg.norm(values)
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    np.testing.assert_allclose(orthogonalised(of, *DEFAULTS).numpy(), (left * values) @ right, atol=1e-12)


def test_nothing_is_divided_by_nothing():
    assert torch.equal(orthogonalised(torch.zeros(3, 3), *DEFAULTS), torch.zeros(3, 3))
