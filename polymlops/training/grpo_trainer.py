"""TRL's GRPOTrainer on set objectives; kept apart because importing TRL takes seconds.

What is overridden: sampling, by `sample_candidates` (draws keyed by seed, step and row, so that a resumed run repeats
them); rewards, which are checked; advantages, by `set_objectives`; and how log-probabilities are computed, by
`grpo_forward`, which gives TRL's numbers for less work. Loss, KL and reference are TRL's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from trl import GRPOTrainer
from trl.trainer.utils import split_tensor_dict, use_adapter

from polymlops.config.grpo import GRPOConfig
from polymlops.errors import TrainingError
from polymlops.generation.decoding import Candidate, Decoding, pad_left, prompt_key, sample_candidates
from polymlops.models.ranks import gathered, rank
from polymlops.training.grpo import GroupDistances, RewardFunction
from polymlops.training.grpo_alarms import AlarmCallback
from polymlops.training.grpo_forward import Rows, token_scores
from polymlops.training.grpo_groups import SampledGroups, check_signal, checked, joined_groups
from polymlops.training.grpo_merging import merged
from polymlops.training.rewards import RewardScores, values_of


class SetTrainer(GRPOTrainer):
    """TRL's trainer with the advantages of a set objective; `mean` at k = 1 is TRL's own, unscaled."""

    def __init__(
        self, config: GRPOConfig, reward: RewardFunction, distances: GroupDistances, alarms: AlarmCallback, **trl: Any
    ) -> None:
        score: Any = self._reward  # TRL's type is a list that could hold None, hence invariant
        super().__init__(reward_funcs=score, **trl)
        self.config = config
        self.alarms = alarms
        self.add_callback(alarms)
        self.reward = reward
        self.distances = distances
        self.decoding = Decoding(config.temperature, 1.0, 0, config.max_new_tokens)
        self.candidates: list[Candidate] = []
        self.groups: SampledGroups | None = None

    def start_kl(self, prompts: Sequence[Sequence[int]]) -> float:
        """Largest KL of the policy to the reference over the positions of these prompts, in nats."""
        model: Any = self.model
        padded = pad_left(prompts, int(model.generation_config.pad_token_id or 0))
        ids, mask = (part.to(model.device) for part in padded)
        was_training = model.training
        model.eval()
        with torch.no_grad():
            policy = torch.log_softmax(model(input_ids=ids, attention_mask=mask).logits.double(), -1)
            with use_adapter(model, adapter_name="ref"):
                reference = torch.log_softmax(model(input_ids=ids, attention_mask=mask).logits.double(), -1)
        model.train(was_training)
        return float(((policy.exp() * (policy - reference)).sum(-1) * mask).max())

    def _reward(self, prompts: list[Any], completions: list[Any], **_: Any) -> list[float]:
        posts = [prompt[-1]["content"] for prompt in prompts]
        replies = [completion[0]["content"].strip() for completion in completions]
        rewards = self.reward(posts, replies)
        if isinstance(rewards, RewardScores):
            for name, part in rewards.breakdown.items():
                self._metrics["train"][f"reward_parts/{name}"].append(float(np.mean(gathered(part.mean()))))
        values = checked(values_of(rewards), replies)
        if self.state.global_step == 0:
            check_signal(np.concatenate(gathered(values)), self.config)
        rewards_GK = values.reshape(-1, self.config.samples)
        rows = np.array(replies, dtype=object).reshape(rewards_GK.shape)
        groups = zip(posts[:: self.config.samples], rows, strict=True)
        distances_GKK = np.stack([self.distances(post, list(row)) for post, row in groups])
        self.groups = SampledGroups(rewards_GK, tuple(self.candidates), tuple(replies), distances_GKK)
        return values.tolist()

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, multimodal_fields: Any, num_generations: int, *_: Any
    ) -> tuple[list[list[int]], None]:
        model: Any = self.accelerator.unwrap_model(self.model)
        prompts = prompt_ids[::num_generations]  # each is repeated for its group
        first = rank() * len(prompts)
        rows = range(first, first + len(prompts))  # of all processes together
        keys = [prompt_key(self.args.seed, f"{self.state.global_step}/{row}") for row in rows]
        was_training = model.training
        with merged(model.eval()):
            sampled = sample_candidates(model, prompts, keys, num_generations, self.decoding)
        model.train(was_training)
        self.candidates = [candidate for group in sampled for candidate in group]
        return [list(candidate.tokens) for candidate in self.candidates], None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        assert self.groups is not None
        advantages_GK = self.groups.advantages(self.config)
        output["advantages"] = torch.tensor(
            advantages_GK.ravel(), dtype=torch.float32, device=output["completion_ids"].device
        )
        logs, metrics = cast("Any", self._logs), self._metrics["train"]
        advantages_GK, groups = np.concatenate(gathered(advantages_GK)), joined_groups(gathered(self.groups))
        logs["advantages"].extend(advantages_GK.ravel().tolist())  # pushes TRL's own out
        for name, value in groups.metrics(advantages_GK, self.config).items():
            metrics[name].append(value)
        return output

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        """TRL's, but for its shuffling: a micro-batch gets whole groups, so that it computes few prompts."""
        trl: Any = self
        pieces = trl.args.steps_per_generation
        if trl._step % pieces == 0 or trl._buffered_inputs is None:
            trl._buffered_inputs = split_tensor_dict(self._generate_and_score_completions(generation_batch), pieces)
        return trl._buffered_inputs[trl._step % pieces]

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, *_: Any, **trl: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        size, with_entropy = trl.get("batch_size") or len(input_ids), trl.get("compute_entropy", False)
        with self.accelerator.autocast():
            parts = [
                token_scores(model, Rows(ids, mask, logits_to_keep), self.temperature, with_entropy)
                for ids, mask in zip(input_ids.split(size), attention_mask.split(size), strict=True)
            ]
        entropies = [part.entropy_BT for part in parts if part.entropy_BT is not None]
        return torch.cat([part.log_probs_BT for part in parts]), torch.cat(entropies) if entropies else None, None

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """TRL's loss; TrainingError where it is not finite (the exponential of the KL can overflow)."""
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss of step {self.state.global_step + 1} is not finite: lower learning_rate")
        return loss
