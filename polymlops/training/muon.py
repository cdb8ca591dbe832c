"""Muon whose orthogonalisation works in single precision, on all matrices of one shape at once.

`torch.optim.Muon` casts to bfloat16, for which processors without such instructions have no fast product: there the
demo's base model took .6 steps a second, nearly all of it spent here. Hyperparameters and their defaults are torch's;
its iteration, in bfloat16, is what the tests compare with.
"""

from __future__ import annotations

from collections import defaultdict
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
            shapes: dict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for (rows, columns), alike in shapes.items():
                momenta = torch.stack([self._nesterov(parameter, group["momentum"]) for parameter in alike])
                updates = orthogonalised(momenta, group["ns_coefficients"], group["ns_steps"], group["eps"])
                rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                for parameter, update in zip(alike, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)
        return loss

    def _nesterov(self, parameter: torch.nn.Parameter, momentum: float) -> Tensor:
        gradient = parameter.grad
        if gradient is None:  # for the type checker: step() asks before
            raise ValueError("a parameter without a gradient has no momentum")
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["momentum_buffer"], momentum)


def orthogonalised(matrices: Tensor, coefficients: Sequence[float], steps: int, eps: float) -> Tensor:
    """Singular vectors kept and singular values brought near 1 by Newton-Schulz steps of fifth order.

    Args:
        matrices: (n, rows, columns).
        coefficients: a, b, c of x -> a x + b x^3 + c x^5.
        steps: how often that is done.
        eps: least norm that is divided by.

    Returns:
        The same shape.
    """
    a, b, c = coefficients
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.mT
    found = wide / torch.linalg.matrix_norm(wide, keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = found @ found.mT
        found = torch.baddbmm(found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found if wide is matrices else found.mT
