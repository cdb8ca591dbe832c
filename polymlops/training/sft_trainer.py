"""TRL's SFTTrainer with a diversity term: the one override, kept apart because importing TRL takes seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from trl import SFTTrainer

from polymlops.models.ranks import gathered

if TYPE_CHECKING:
    import torch

    from polymlops.training.polychromic import DiversityTerm


class PolychromicTrainer(SFTTrainer):
    """Cross-entropy as TRL computes it, minus lambda times the diversity of sampled sets every m-th optimizer step.

    The term enters once an optimizer step, with the first micro-batch, weighted by m * lambda so that its mean over the
    schedule is the stated objective. Without a term it is TRL's trainer, bit for bit.
    """

    def __init__(self, *args: Any, diversity: DiversityTerm | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.diversity = diversity
        self._diversity_step = -1

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss; in training, at a diversity step, plus the surrogate of the diversity term."""
        result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if not model.training:
            return result
        loss, outputs = result if return_outputs else (result, None)
        share = self.current_gradient_accumulation_steps if num_items_in_batch is not None else 1
        cross_entropy = np.mean(gathered(float(loss.detach())))
        self._metrics["train"]["cross_entropy"].append(float(cross_entropy) * share)
        if self._is_diversity_step():
            loss = loss + self._term(model, inputs, num_items_in_batch)
        return (loss, outputs) if return_outputs else loss

    def _is_diversity_step(self) -> bool:
        if self.diversity is None:
            return False
        step = self.state.global_step
        first_micro_batch = step != self._diversity_step
        return first_micro_batch and step % self.diversity.config.every == 0

    def _term(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any) -> torch.Tensor:
        assert self.diversity is not None
        self._diversity_step = step = self.state.global_step
        config = self.diversity.config
        prompts = gathered(prompts_of_batch(inputs)[: config.prompts])[0]  # the processes share them out
        result = self.diversity.step(self.accelerator.unwrap_model(model), prompts, self.args.seed, step)
        metrics = self._metrics["train"]
        metrics["set_diversity"].append(result.diversity)
        metrics["set_valid_share"].append(result.valid_share)
        metrics["advantage_spread"].append(result.advantage_spread)
        weight = config.lambda_ * config.every
        metrics["diversity_loss"].append(weight * float(np.mean(gathered(float(result.surrogate.detach())))))
        # Where the trainer divides the loss by the accumulation steps itself, the term is given that factor back.
        scale = 1 if num_items_in_batch is not None else self.current_gradient_accumulation_steps
        return weight * scale * result.surrogate


def prompts_of_batch(inputs: dict[str, Any]) -> list[list[int]]:
    """The prompt tokens of every row: attended to, and not a target of the loss."""
    prompt = (inputs["attention_mask"] == 1) & (inputs["labels"] == -100)
    return [ids[row].tolist() for ids, row in zip(inputs["input_ids"], prompt, strict=True)]
