"""Which version is the champion: the promotion rule, its safety gates, and the record of every decision.

The rule: the paired interval of USQ over the adapter's SFT start lies above 0, and no safety gate fails. A refused
version never takes the alias from another.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from mlflow import MlflowClient

from polymlops.errors import InputError, TrackingError
from polymlops.records import Estimate
from polymlops.report.comparisons import ROUNDING
from polymlops.tracking.records import RegisteredVersion
from polymlops.tracking.registry import point_alias, read_version
from polymlops.tracking.registry_shelf import COMPLETE, YES
from polymlops.tracking.store import tracked_errors

CHAMPION = "champion"
TRAINING_ALARM: Final = "training_alarm"
PASS_AT_1: Final = "pass_at_1"
WELL_FORMED: Final = "well_formed"
GATES = (TRAINING_ALARM, PASS_AT_1, WELL_FORMED)


@dataclass(frozen=True, slots=True)
class Gate:
    """A safety gate and what it found."""

    name: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class PromotionDecision:
    """Whether a version becomes champion, and why; `metric` over its SFT start, over prompts and `seeds` paired."""

    promoted: bool
    reason: str
    metric: str
    usq_difference: Estimate
    seeds: int
    gates: tuple[Gate, ...]

    def to_json(self) -> str:
        """The decision as JSON; a number that is not defined is null."""
        estimate = {name: _defined(value) for name, value in asdict(self.usq_difference).items()}
        return json.dumps(asdict(self) | {"usq_difference": estimate}, indent=1, allow_nan=False)

    def tags(self) -> dict[str, str]:
        """The decision as tags of a version."""
        estimate = self.usq_difference
        gates = {f"promotion.gate.{gate.name}": "passed" if gate.passed else gate.reason for gate in self.gates}
        return {
            "promotion.promoted": str(self.promoted).lower(),
            "promotion.reason": self.reason,
            "promotion.metric": self.metric,
            "promotion.usq_difference": repr(estimate.value),
            "promotion.usq_low": repr(estimate.low),
            "promotion.usq_high": repr(estimate.high),
            "promotion.prompts": str(estimate.n),
            "promotion.seeds": str(self.seeds),
            **gates,
        }


def alarm_gate(adapter: Path) -> Gate:
    """Fails where an alarm stopped the training before any of it could be kept; reads the adapter's folder.

    Raises:
        InputError: the folder has no adapter by GRPO.
    """
    path = adapter / "adapter.json"
    about = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not {"alarm", "kept_step"} <= about.keys():
        raise InputError(f"{adapter}: no adapter by GRPO here (adapter.json has no kept_step)")
    alarm, kept = about["alarm"], int(about["kept_step"])
    if alarm is None:
        return Gate(TRAINING_ALARM, True, "training ended without an alarm")
    said = f"alarm {alarm['kind']} at step {alarm['step']} ({alarm['reason']}), step {kept} was kept"
    return Gate(TRAINING_ALARM, kept > 0, said if kept else f"{said}: the adapter is its SFT start")


def difference_gate(name: Literal["pass_at_1", "well_formed"], difference: Estimate) -> Gate:
    """Fails where the paired difference to the SFT start has its interval below 0, or no interval."""
    if math.isnan(difference.low) or math.isnan(difference.high):
        return Gate(name, False, f"{name} over the SFT start is {difference}: it has no interval")
    fell = difference.high < 0
    return Gate(name, not fell, f"{name} over the SFT start: {difference}, {'below' if fell else 'not below'} 0")


def decide_promotion(usq_difference: Estimate, gates: Sequence[Gate], metric: str, seeds: int) -> PromotionDecision:
    """Apply the promotion rule.

    Args:
        usq_difference: of `metric`, adapter minus SFT start, over paired prompts and seeds.
        gates: one of each name in `GATES`.
        metric: such as `usq_logprob_at_10`.
        seeds: training seeds behind the difference; with 1 it says nothing about another training run.

    Raises:
        InputError: a gate is missing, or there twice.
    """
    names = [gate.name for gate in gates]
    if sorted(names) != sorted(GATES):
        raise InputError(f"gates {names}: the rule needs {', '.join(GATES)}, each once")
    faults = [f"gate {gate.name}: {gate.reason}" for gate in gates if not gate.passed]
    if not usq_difference.low > ROUNDING:
        faults.insert(0, f"{metric} over the SFT start is {usq_difference}: the interval does not lie above 0")
    reason = "; ".join(faults) or f"{metric} over the SFT start is {usq_difference}, and no safety gate failed"
    return PromotionDecision(not faults, reason, metric, usq_difference, seeds, tuple(gates))


def promote(client: MlflowClient, version: RegisteredVersion, decision: PromotionDecision) -> RegisteredVersion:
    """Record the decision on the version, as tags and as `promotion.json` of its run; move `champion` where it says so.

    A refused version that is the champion by an earlier decision loses the alias; another's is never touched.

    Raises:
        TrackingError: the version is not complete, or the store did not take something.
    """
    with tracked_errors(f"record the promotion of version {version.version} of {version.name}"):
        found = client.get_model_version(version.name, str(version.version))
        if found.tags.get(COMPLETE) != YES:
            raise TrackingError(f"version {version.version} of {version.name} is not complete: register it again")
        client.log_text(version.run_id, decision.to_json(), record_path(version))
        for tag, value in decision.tags().items():
            client.set_model_version_tag(version.name, str(version.version), tag, value)
        if not decision.promoted and CHAMPION in found.aliases:
            client.delete_registered_model_alias(version.name, CHAMPION)
    if decision.promoted:
        point_alias(client, version.name, CHAMPION, version.version)
    return read_version(client, version.name, version.version)


def record_path(version: RegisteredVersion) -> str:
    """Where in its run's artifacts the decision about a version lies."""
    return f"registry/{version.name}/{version.version}/promotion.json"


def _defined(value: float) -> float | None:
    return value if math.isfinite(value) else None
