"""The GRPO trainer whose loss terms are watched: the same steps, each term handed to `GradientNorms` on the way.

Kept apart because importing TRL takes seconds. The terms are the policy term and beta times the KL to the reference.
"""

from __future__ import annotations

from typing import Any

import torch

from polymlops.training.gradient_norms import GradientNorms
from polymlops.training.grpo_trainer import SetTrainer


class WatchedSetTrainer(SetTrainer):
    """`SetTrainer` whose terms `policy` and `kl` are recorded; the KL is put together again from what TRL used."""

    def __init__(self, *args: Any, gradients: GradientNorms, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gradients = gradients
        self.add_callback(gradients)
        self._log_probs_BT: torch.Tensor | None = None

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, *args: Any, **trl: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        result = super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, logits_to_keep, *args, **trl
        )
        self._log_probs_BT = result[0]
        return result

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The loss as it is; in training its terms are observed."""
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if model.training:
            kl = self._kl_loss(inputs)
            self.gradients.observe(model, {"policy": loss - kl, "kl": kl}, self.state.global_step)
        self._log_probs_BT = None
        return loss

    def _kl_loss(self, inputs: dict[str, Any]) -> torch.Tensor:
        """beta times k3, normalised as `dr_grpo` does."""
        assert self._log_probs_BT is not None
        ratio_BT = inputs["ref_per_token_logps"] - self._log_probs_BT
        summed = ((torch.exp(ratio_BT) - ratio_BT - 1) * inputs["completion_mask"]).sum()
        size = len(ratio_BT) * self.config.max_new_tokens * self.current_gradient_accumulation_steps
        return self.beta * summed / size
