"""What a roadmap would do: the same stages, looked up and never started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mlflow import MlflowClient

from polymlops.config.hashing import content_hash
from polymlops.config.schema import ExperimentConfig
from polymlops.refs import Reference
from polymlops.tracking import ledger
from polymlops.tracking.stages import Outcome, R, Stage
from polymlops.tracking.store import database_file, open_store, tracked_errors, tracking_uri

PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage of a plan, in the order in which it would run."""

    title: str
    cached: bool
    seconds: float | None  # that it took, or took the last time; none where it never ran in this experiment


@dataclass
class PlanContext:
    """Stands in for a RunContext: answers from the ledger, and with a placeholder for what is not there yet."""

    client: MlflowClient | None
    experiment_id: str | None
    stages: list[PlannedStage] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def run(self, stage: Stage[R]) -> Outcome[R]:
        """Look a stage up; its result is a placeholder where it would have to run."""
        key = stage.key()
        found = self.client and ledger.find_finished(self.client, key, stage.result, mark=False)
        known, self.keys = key in self.keys, self.keys | {key}  # phases share stages
        if not known:
            seconds = found[1] if found else self._expected(stage)
            self.stages.append(PlannedStage(stage.title, cached=bool(found), seconds=seconds))
        if found:
            return Outcome(found[0], cached=True, seconds=found[1])
        planned = stage.result(run_id=PLANNED, uri=PLANNED, digest=f"{PLANNED}:{content_hash(key)}")
        return Outcome(planned, cached=False, seconds=0.0)

    def _expected(self, stage: Stage[R]) -> float | None:
        if self.client is None or self.experiment_id is None:
            return None
        labels = {name: value for name, value in stage.labels.items() if name != "seed"}
        return ledger.last_seconds(self.client, self.experiment_id, {ledger.STAGE: stage.name, **labels})


@dataclass(frozen=True, slots=True)
class PlanTotal:
    """What the stages of a plan that are to run are expected to take, by what they took before."""

    stages: int
    stages_to_run: int
    expected_seconds: float
    unknown: int  # stages that never ran in this experiment
    expected_cost_dollars: float

    def __str__(self) -> str:
        rest = f", and {self.unknown} stages of unknown length" if self.unknown else ""
        expected = f"{self.expected_seconds:.0f} s, ${self.expected_cost_dollars:.2f}"
        return f"{self.stages_to_run} of {self.stages} stages to run, expected: {expected}{rest}"


def plan_total(stages: Sequence[PlannedStage], price_per_hour: float) -> PlanTotal:
    """Count and add up; the price is in dollars."""
    waiting = [stage for stage in stages if not stage.cached]
    known = [stage.seconds for stage in waiting if stage.seconds is not None]
    return PlanTotal(
        stages=len(stages),
        stages_to_run=len(waiting),
        expected_seconds=sum(known),
        unknown=len(waiting) - len(known),
        expected_cost_dollars=sum(known) / 3600 * price_per_hour,
    )


def is_planned(reference: Reference) -> bool:
    """Whether a reference is a placeholder for what is not there yet."""
    return reference.run_id == PLANNED


def plan_context(config: ExperimentConfig) -> PlanContext:
    """Open the ledger for reading; nothing is created where there is none yet.

    Raises:
        TrackingError: the store cannot be reached.
    """
    uri = tracking_uri(config.tracking.uri, config.output_dir)
    file = database_file(uri)
    if file is not None and not file.exists():
        return PlanContext(None, None)
    client = open_store(uri)
    with tracked_errors(f"find the experiment {config.name}"):
        experiment = client.get_experiment_by_name(config.name)
    return PlanContext(client, experiment.experiment_id if experiment else None)
