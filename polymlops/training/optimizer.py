"""Muon for the matrices inside the decoder, AdamW for embeddings and gains: the embedded base learns in half the steps.

Source: Jordan et al. 2024 (Muon).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from polymlops.training.muon import Muon

MUON_LEARNING_RATE = 0.02
ADAMW_BETAS = (0.9, 0.98)
WEIGHT_DECAY = 0.01


class MuonAdamW(torch.optim.Optimizer):
    """Two optimizers under one schedule; checkpoints hold both."""

    def __init__(self, model: torch.nn.Module, learning_rate: float) -> None:
        matrices, others = split_parameters(model)
        self.muon = Muon(matrices, lr=MUON_LEARNING_RATE, momentum=0.95, weight_decay=WEIGHT_DECAY)
        self.adamw = torch.optim.AdamW(others, lr=learning_rate, betas=ADAMW_BETAS, weight_decay=WEIGHT_DECAY)
        super().__init__([*matrices, *others], {"lr": learning_rate})
        self._share_groups()

    def _share_groups(self) -> None:
        """The schedule writes learning rates here; the two optimizers read them from the same groups."""
        self.param_groups = [*self.muon.param_groups, *self.adamw.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Step both; `closure` computes the loss first where it is given."""
        loss = closure() if closure is not None else None
        self.muon.step()
        self.adamw.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Both states."""
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore both."""
        self.muon.load_state_dict(state_dict["muon"])
        self.adamw.load_state_dict(state_dict["adamw"])
        self._share_groups()


def split_parameters(
    model: torch.nn.Module,
) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """The matrices that Muon is made for, and the rest: embeddings, output head and gains."""
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        inside = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
        (matrices if inside else others).append(parameter)
    return matrices, others
