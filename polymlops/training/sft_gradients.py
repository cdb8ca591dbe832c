"""The SFT trainer whose loss terms are watched: the same steps, each term handed to `GradientNorms` on the way.

Kept apart because importing TRL takes seconds. The terms are cross-entropy and the weighted diversity term, which
enters every m-th step with m times its weight.
"""

from __future__ import annotations

from typing import Any

import torch

from polymlops.training.gradient_norms import GradientNorms
from polymlops.training.sft_trainer import PolychromicTrainer


class WatchedSFTTrainer(PolychromicTrainer):
    """`PolychromicTrainer` whose terms `cross_entropy` and `diversity` are recorded."""

    def __init__(self, *args: Any, gradients: GradientNorms, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gradients = gradients
        self.add_callback(gradients)
        self._diversity_loss: torch.Tensor | None = None

    def _term(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any) -> torch.Tensor:
        self._diversity_loss = super()._term(model, inputs, num_items_in_batch)
        return self._diversity_loss

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss as it is; in training its terms are observed."""
        self._diversity_loss = None
        result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if model.training:
            loss = result[0] if return_outputs else result
            diversity = torch.zeros(()) if self._diversity_loss is None else self._diversity_loss
            # The trainer divides by the accumulation steps itself where the loss is no mean over their tokens.
            share = 1 if num_items_in_batch is not None else self.current_gradient_accumulation_steps
            terms = {"cross_entropy": (loss - diversity) / share}
            if self.diversity is not None:
                terms["diversity"] = diversity / share
            self.gradients.observe(model, terms, self.state.global_step)
        return result
