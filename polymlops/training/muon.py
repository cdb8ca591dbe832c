"""Muon whose orthogonalisation works in single precision.

`torch.optim.Muon` casts to bfloat16, for which processors without such instructions have no fast product: there most
of the base model's training was spent on it. Everything else is torch's; without its cast it makes the same steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class Muon(torch.optim.Muon):
    """Momentum whose singular values are all brought near 1 (Jordan et al. 2024); for matrices of floats."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters that have a gradient; `closure` computes the loss first where it is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    momentum = self._nesterov(parameter, parameter.grad, group["momentum"])
                    update = orthogonalised(momentum, group["ns_coefficients"], group["ns_steps"], group["eps"])
                    rows, columns = parameter.shape
                    rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)
        return loss

    def _nesterov(self, parameter: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["momentum_buffer"], momentum)


def orthogonalised(matrix: Tensor, coefficients: Sequence[float], steps: int, eps: float) -> Tensor:
    """Singular vectors kept and singular values brought near 1 by Newton-Schulz steps of fifth order.

    Args:
        matrix: (rows, columns).
        coefficients: a, b, c of x -> a x + b x^3 + c x^5.
        steps: how often that is done.
        eps: least norm that is divided by.

    Returns:
        The same shape.
    """
    a, b, c = coefficients
    rows, columns = matrix.shape
    wide = matrix if rows <= columns else matrix.T
    found = wide / wide.norm().clamp(min=eps)
    for _ in range(steps):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found if rows <= columns else found.T
