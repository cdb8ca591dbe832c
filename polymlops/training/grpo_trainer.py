"""TRL's GRPOTrainer on set objectives, and its alarms; kept apart because importing TRL takes seconds.

Three overrides: sampling by `sample_candidates` (draws keyed by seed, step and row, so that a resumed run repeats
them), rewards that are checked, and advantages by `set_objectives`. Loss, KL and reference are TRL's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments
from trl import GRPOTrainer
from trl.trainer.utils import use_adapter

from polymlops.config.grpo import AlarmConfig, GRPOConfig
from polymlops.errors import TrainingError
from polymlops.generation.decoding import Candidate, Decoding, pad_left, prompt_key, sample_candidates
from polymlops.metrics.arrays import Floats
from polymlops.models.checkpoints import MarkComplete
from polymlops.training.grpo import RewardFunction
from polymlops.training.polychromic import DistanceFunction, is_junk, set_advantages
from polymlops.training.set_objectives import advantage_report, advantages


def checked(rewards: Any, replies: Sequence[str], first_step: bool) -> Floats:
    """Rewards as float64; TrainingError for a wrong count, NaN, or one value for all replies of the first step."""
    values = np.asarray(rewards, dtype=np.float64)
    if values.shape != (len(replies),):
        raise TrainingError(f"the reward returned shape {values.shape} for {len(replies)} replies: return one for each")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise TrainingError(f"{len(bad)} of {len(values)} rewards are not finite, the first for {replies[bad[0]]!r}")
    if first_step and np.ptp(values) == 0:
        raise TrainingError(f"the reward is {values[0]:g} for every reply of the first step: nothing to learn from it")
    return values


@dataclass(frozen=True, slots=True)
class SampledGroups:
    """The completions of one step, G prompts with K each."""

    rewards_GK: Floats
    candidates: tuple[Candidate, ...]
    texts: tuple[str, ...]
    distances_GKK: Floats

    @property
    def valid_GK(self) -> np.ndarray:
        """Neither truncated nor junk."""
        rows = [item.finished and not is_junk(text) for item, text in zip(self.candidates, self.texts, strict=True)]
        return np.array(rows).reshape(self.rewards_GK.shape)

    def advantages(self, config: GRPOConfig) -> Floats:
        """Advantage of each completion under the configured objective, (G, K)."""
        rewards_GK = self.rewards_GK
        if config.objective == "polychromic":
            rewards_GK = np.maximum(rewards_GK - config.reward_floor, 0)
        scores = [
            item.logprob / len(item.tokens) if config.selector == "logprob" else len(text)
            for item, text in zip(self.candidates, self.texts, strict=True)
        ]
        return advantages(
            rewards_GK,
            config.objective,
            config.k,
            config.baseline,
            self.distances_GKK,
            np.array(scores, dtype=np.float64).reshape(rewards_GK.shape),
            valid_GK=self.valid_GK,
        )

    def metrics(self, advantages_GK: Floats) -> dict[str, float]:
        """What is logged of a step beside TRL's own; diversity of fewer than two valid members is 0."""
        report = advantage_report(advantages_GK, self.rewards_GK)
        sets = [set_advantages(*pair) for pair in zip(self.distances_GKK, self.valid_GK, strict=True)]
        texts_GK = np.array(self.texts, dtype=object).reshape(self.rewards_GK.shape)
        return {
            "reward_within_spread": float(self.rewards_GK.std(axis=1).mean()),
            "reward_zero_spread_share": float((np.ptp(self.rewards_GK, axis=1) == 0).mean()),
            "advantage_zero_spread_share": report.zero_spread_share,
            "sign_disagreement_share": report.sign_disagreement_share,
            "diversity": float(np.nan_to_num([item.diversity for item in sets]).mean()),
            "duplicate_share": float(np.mean([1 - len(set(row)) / len(row) for row in texts_GK])),
            "truncated_share": float(np.mean([not item.finished for item in self.candidates])),
            "valid_share": float(self.valid_GK.mean()),
        }


class SetTrainer(GRPOTrainer):
    """TRL's trainer with the advantages of a set objective; `mean` at k = 1 is TRL's own, unscaled."""

    def __init__(
        self, config: GRPOConfig, reward: RewardFunction, distances: DistanceFunction, alarms: AlarmCallback, **trl: Any
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
        ids, mask = pad_left(prompts, int(model.generation_config.pad_token_id or 0))
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
        values = checked(self.reward(posts, replies), replies, self.state.global_step == 0)
        rewards_GK = values.reshape(-1, self.config.samples)
        rows = np.array(replies, dtype=object).reshape(rewards_GK.shape)
        distances_GKK = np.stack([self.distances(list(row)) for row in rows])
        self.groups = SampledGroups(rewards_GK, tuple(self.candidates), tuple(replies), distances_GKK)
        return values.tolist()

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, multimodal_fields: Any, num_generations: int, *_: Any
    ) -> tuple[list[list[int]], None]:
        model: Any = self.accelerator.unwrap_model(self.model)
        prompts = prompt_ids[::num_generations]  # each is repeated for its group
        keys = [prompt_key(self.args.seed, f"{self.state.global_step}/{row}") for row in range(len(prompts))]
        was_training = model.training
        sampled = sample_candidates(model.eval(), prompts, keys, num_generations, self.decoding)
        model.train(was_training)
        self.candidates = [candidate for group in sampled for candidate in group]
        return [list(candidate.tokens) for candidate in self.candidates], None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        assert self.groups is not None
        advantages_GK = self.groups.advantages(self.config)
        output["advantages"] = torch.tensor(advantages_GK.ravel(), dtype=torch.float32)
        logs, metrics = cast("Any", self._logs), self._metrics["train"]
        logs["advantages"].extend(advantages_GK.ravel().tolist())  # pushes TRL's own out
        for name, value in self.groups.metrics(advantages_GK).items():
            metrics[name].append(value)
        return output

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """TRL's loss; TrainingError where it is not finite (the exponential of the KL can overflow)."""
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss of step {self.state.global_step + 1} is not finite: lower learning_rate")
        return loss


@dataclass(frozen=True, slots=True)
class Alarm:
    """Why training was stopped."""

    kind: Literal["kl", "diversity", "gold"]
    step: int
    reason: str


class AlarmCallback(MarkComplete):
    """Stops training at the first alarm, by what was logged: a resumed run judges as the undisturbed one.

    From the alarm on no checkpoint is marked, so that a run killed then goes on before it and meets it again.
    """

    def __init__(self, config: AlarmConfig, dynamics: Path) -> None:
        self.config = config
        self.dynamics = dynamics
        self.alarm: Alarm | None = None

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Judge the newest window."""
        entry = state.log_history[-1]
        if self.alarm is None and "kl" in entry:
            self.alarm = self._threshold(entry) or self._gold(state)
        control.should_training_stop |= self.alarm is not None

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Mark the checkpoint, unless there was an alarm."""
        if self.alarm is None:
            super().on_save(args, state, control)

    def _threshold(self, entry: Mapping[str, float]) -> Alarm | None:
        step, limit, floor = int(entry["step"]), self.config.kl_limit, self.config.diversity_floor
        if entry["kl"] > limit:
            return Alarm("kl", step, f"KL {entry['kl']:.4g} is above alarms.kl_limit = {limit:g}")
        if entry["diversity"] < floor:
            return Alarm("diversity", step, f"diversity {entry['diversity']:.4g} is below the floor of {floor:g}")
        return None

    def _gold(self, state: TrainerState) -> Alarm | None:
        points = gold_points(self.dynamics, state.global_step)
        rewards = [_reward_near(state.log_history, step) for step in points]
        patience, rates = self.config.gold_patience, list(points.values())
        if not (patience and over_optimised(rates, rewards, patience)):
            return None
        reason = f"true pass rate down from {max(rates):.3f} to {rates[-1]:.3f} while the reward rose"
        return Alarm("gold", state.global_step, reason)


def best_step(steps: Sequence[int], history: Sequence[Mapping[str, float]], alarm: Alarm, dynamics: Path) -> int:
    """The best checkpoint from before the alarm; 0, the start, where there is none.

    Best is the highest true pass rate after a gold alarm, else the highest reward since the checkpoint before it.
    """
    scores = {}
    for before, step in pairwise([0, *(step for step in sorted(steps) if step < alarm.step)]):
        rewards = [row["reward"] for row in history if "reward" in row and before < row["step"] <= step]
        gold = alarm.kind == "gold"
        scores[step] = list(gold_points(dynamics, step).values())[-1] if gold else float(np.mean(rewards))
    return max(scores, key=lambda step: scores[step], default=0)


def gold_points(folder: Path, last: int) -> dict[int, float]:
    """True pass rate by step, of the dynamics up to a step."""
    points = [json.loads(path.read_text()) for path in sorted(folder.glob("step-*.json"))]
    return {point["step"]: point["pass_rate"] for point in points if point["step"] <= last}


def over_optimised(golds: Sequence[float], rewards: Sequence[float], patience: int) -> bool:
    """True where the last `patience` measurements have gold below its best and the reward above what it was then."""
    if len(golds) <= patience:
        return False
    best = int(np.argmax(golds))
    recent = range(len(golds) - patience, len(golds))
    return all(i > best and golds[i] < golds[best] and rewards[i] > rewards[best] for i in recent)


def _reward_near(history: Sequence[Mapping[str, float]], step: int) -> float:
    """Reward of the logged window that ends nearest to a step."""
    entries = [entry for entry in history if "reward" in entry]
    return min(entries, key=lambda entry: abs(entry["step"] - step))["reward"] if entries else math.nan
