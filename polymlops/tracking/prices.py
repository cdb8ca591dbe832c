"""What work costs: an hour of the machine that does a stage, and what its judges asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from polymlops.config.execution import Pool, TrackingConfig

if TYPE_CHECKING:
    from mlflow.entities import Run

# Stages that pool `gpu` does; all others are pool `cpu`'s.
GPU_STAGES = frozenset(
    {
        "build_base_model",
        "take_base_model",
        "train_adapter",
        "sample_arm",
        "train_reward_model",
        "train_grpo",
        "sample_programs",
        "train_on_programs",
        "sample_texts",
        "analyse_mechanism",
    }
)
JUDGED = re.compile(r"(.*/)?(second_)?judge/dollars")
HOUR = 3600


def pool_of(stage: str) -> Pool:
    """The work pool of a stage or its task, by name."""
    return "gpu" if stage in GPU_STAGES else "cpu"


class Prices(BaseModel):
    """Dollars an hour, by pool."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gpu: float
    cpu: float

    @classmethod
    def of(cls, tracking: TrackingConfig) -> Prices:
        """Those of a config."""
        hour = tracking.price_per_hour
        return cls(gpu=tracking.pool_prices.get("gpu", hour), cpu=tracking.pool_prices.get("cpu", hour))

    @classmethod
    def of_params(cls, params: Mapping[str, Any]) -> Prices:
        """Those that a roadmap's run was told; NaN where it says none."""
        hour = params.get("tracking.price_per_hour", "nan")
        return cls(**{pool: float(params.get(f"tracking.pool_prices.{pool}", hour)) for pool in ("gpu", "cpu")})

    def of_stage(self, stage: str, seconds: float, judges: float = 0.0) -> float:
        """Dollars of a stage that took so long."""
        return seconds / HOUR * (self.gpu if pool_of(stage) == "gpu" else self.cpu) + judges

    def of_run(self, run: Run) -> float:
        """Dollars of a stage's run, judges included; 0 seconds while it is open."""
        from polymlops.tracking import ledger  # MLflow takes seconds, which a plan without a ledger need not wait for

        return self.of_stage(run.data.tags.get(ledger.STAGE, ""), ledger.run_seconds(run), judge_dollars(run))


def judge_dollars(run: Run) -> float:
    """What a run's judges cost, as far as it is known; a judging that failed has not told."""
    told = [value for name, value in run.data.metrics.items() if JUDGED.fullmatch(name)]
    return math.fsum(value for value in told if not math.isnan(value))
