"""What a roadmap would do: the same stages, looked up and never started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from polymlops.config.hashing import content_hash
from polymlops.config.schema import ExperimentConfig
from polymlops.refs import Reference
from polymlops.tracking.addresses import database_file, tracking_uri
from polymlops.tracking.prices import Prices
from polymlops.tracking.stage import Outcome, R, Stage

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from polymlops.tracking.rates import Basis

PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage of a plan, in the order in which it would run."""

    title: str
    cached: bool
    seconds: float | None  # that it took, or should take; none where nothing was measured that says so
    dollars: float | None  # by the config's prices, judges included
    basis: Basis | None = None  # what the expectation is taken from


@dataclass
class PlanContext:
    """Stands in for a RunContext: answers from the ledger, and with a placeholder for what is not there yet."""

    client: MlflowClient | None
    experiment_id: str | None
    prices: Prices
    experiments: list[str] | None = None  # that are looked into; none: all, asked for each time
    stages: list[PlannedStage] = field(default_factory=list)
    planned: set[str] = field(default_factory=set)  # keys: phases share stages
    found: dict[str, tuple[Any, float] | None] = field(default_factory=dict)  # by key

    def run(self, stage: Stage[R]) -> Outcome[R]:
        """Look a stage up; its result is a placeholder where it would have to run."""
        key = stage.key()
        found = self._look_up(stage, key)
        if key not in self.planned:
            self.planned.add(key)
            self.stages.append(self._cached(stage, found[1]) if found else self._expected(stage))
        if found:
            return Outcome(found[0], cached=True, seconds=found[1])
        planned = stage.result(run_id=PLANNED, uri=PLANNED, digest=f"{PLANNED}:{content_hash(key)}")
        return Outcome(planned, cached=False, seconds=0.0)

    def find(self, stage: Stage[R]) -> Outcome[R] | None:
        """The stage's artifact where the ledger has it whole; the stage is not planned."""
        found = self._look_up(stage, stage.key())
        return None if found is None else Outcome(found[0], cached=True, seconds=found[1])

    def _look_up(self, stage: Stage[R], key: str) -> tuple[R, float] | None:
        if self.client is None:
            return None
        if key not in self.found:
            from polymlops.tracking import ledger  # MLflow takes seconds; a plan without a ledger need not wait for it

            self.found[key] = ledger.find_finished(
                self.client, key, stage.result, mark=False, experiment_ids=self.experiments
            )
        return self.found[key]

    def _cached(self, stage: Stage[R], seconds: float) -> PlannedStage:
        return PlannedStage(stage.title, True, seconds, self.prices.of_stage(stage.name, seconds))

    def _expected(self, stage: Stage[R]) -> PlannedStage:
        if self.client is None:
            return PlannedStage(stage.title, False, None, None)
        from polymlops.tracking.rates import expectation

        found = expectation(self.client, self.experiment_id, stage, self.experiments)
        if found is None:
            return PlannedStage(stage.title, False, None, None)
        dollars = self.prices.of_stage(stage.name, found.seconds, found.judges)
        return PlannedStage(stage.title, False, found.seconds, dollars, found.basis)


@dataclass(frozen=True, slots=True)
class PlanTotal:
    """What the stages of a plan that are to run are expected to take, by what they took before."""

    stages: int
    stages_to_run: int
    expected_seconds: float
    unknown: int  # stages of which nothing was measured
    expected_cost_dollars: float

    def __str__(self) -> str:
        rest = f", and {self.unknown} stages of unknown length" if self.unknown else ""
        expected = f"{self.expected_seconds:.0f} s, ${self.expected_cost_dollars:.2f}"
        return f"{self.stages_to_run} of {self.stages} stages to run, expected: {expected}{rest}"


def plan_total(stages: Sequence[PlannedStage]) -> PlanTotal:
    """Count and add up."""
    waiting = [stage for stage in stages if not stage.cached]
    known = [stage for stage in waiting if stage.seconds is not None]
    return PlanTotal(
        stages=len(stages),
        stages_to_run=len(waiting),
        expected_seconds=sum(stage.seconds or 0.0 for stage in known),
        unknown=len(waiting) - len(known),
        expected_cost_dollars=sum(stage.dollars or 0.0 for stage in known),
    )


def is_planned(reference: Reference) -> bool:
    """Whether a reference is a placeholder for what is not there yet."""
    return reference.run_id == PLANNED


def plan_context(config: ExperimentConfig, seen: Mapping[str, tuple[Reference, float]] | None = None) -> PlanContext:
    """Open the ledger for reading; nothing is created where there is none yet. What was `seen` is not looked up again.

    Raises:
        TrackingError: the store cannot be reached.
    """
    uri, prices = tracking_uri(config.tracking.uri, config.output_dir), Prices.of(config.tracking)
    file = database_file(uri)
    if file is not None and not file.exists():
        return PlanContext(None, None, prices)
    from polymlops.tracking.ledger import all_experiments
    from polymlops.tracking.store import open_store, tracked_errors

    client = open_store(uri)
    with tracked_errors(f"find the experiment {config.name}"):
        experiment = client.get_experiment_by_name(config.name)
        experiments = all_experiments(client)
    experiment_id = experiment.experiment_id if experiment else None
    return PlanContext(client, experiment_id, prices, experiments, found=dict(seen or {}))
