"""Alarms of GRPO that act: what was logged stops the run, and the best checkpoint from before is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from transformers import TrainerControl, TrainerState, TrainingArguments

from polymlops.config.grpo import AlarmConfig
from polymlops.models.checkpoints import MarkComplete


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
