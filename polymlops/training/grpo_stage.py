"""The GRPO stage as the roadmap calls it: the configured reward is put together, then `train_grpo` trains on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from polymlops.config.grpo import GRPOSpec
from polymlops.models.encoder import embed, load_encoder
from polymlops.records import Job
from polymlops.training.grpo import train_grpo
from polymlops.training.rewards import build_reward


@dataclass(frozen=True, slots=True)
class GRPOInputs:
    """Folders: base model, SFT adapter to start from, dataset, trained reward model."""

    base: Path
    start: Path
    dataset: Path
    reward_model: Path


def train_arm(spec: GRPOSpec, inputs: GRPOInputs, job: Job) -> dict[str, float]:
    """Train one GRPO arm and write its adapter; returns and raises as `train_grpo` and `build_reward`."""
    encoder = load_encoder(inputs.base / "encoder")
    reward = build_reward(spec.reward, inputs.reward_model, partial(embed, encoder))
    return train_grpo(spec, inputs.base, inputs.start, inputs.dataset, reward.score, job)
