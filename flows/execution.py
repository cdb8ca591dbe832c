"""How a flow's stages are carried out: as Prefect tasks in this process, by workers of the pools, or only planned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast
from uuid import UUID

from prefect import Task
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

import tasks
from flows.abandoned import close_runs
from flows.environment import on_this_machine
from flows.pools import pool_runner
from flows.run_names import alone
from flows.run_pages import count_done, shown_plan
from polymlops.config.execution import ExecutionConfig
from polymlops.config.schema import ExperimentConfig
from polymlops.errors import PolymlopsError
from polymlops.refs import Reference
from polymlops.tracking.fingerprint import folder_fingerprint
from polymlops.tracking.plans import PlanContext, PlannedStage, plan_context
from polymlops.tracking.roadmaps import roadmap_run, spent_by
from polymlops.tracking.stages import RunContext
from polymlops.tracking.store import tracking_uri
from tasks.attempts import CountedRunner
from tasks.policy import StageRunner, result_of, retrying

logger = logging.getLogger("polymlops.execution")
P = ParamSpec("P")
R = TypeVar("R", bound=Reference)


class Call(Protocol):
    """Carries out one stage's task and gives its reference."""

    def __call__(self, task: Task[Concatenate[StageRunner, P], State[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Give the stage's result."""


Walk = Callable[[Call, ExperimentConfig], object]  # calls every stage of a phase, or of all


def in_process(context: RunContext, retries: int, page: UUID | None = None, failures: Sequence[str] = ()) -> Call:
    """Each stage is a Prefect task of the flow that runs here; see CountedRunner for page and failures."""

    def call(task: Task[Concatenate[StageRunner, P], State[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        runner = CountedRunner(context, page, failures)
        state = retrying(task, retries)(runner, *args, **kwargs, return_state=True)
        return cast(R, result_of(state))

    return call


def on_pools(context: RunContext, retries: int) -> Call:
    """Each stage is a Prefect task of the flow that runs here, and the flow run of a worker that it waits for."""

    def call(task: Task[Concatenate[StageRunner, P], State[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        runner = CountedRunner(pool_runner(context, retries, task, args, kwargs))
        state = retrying(task, retries)(runner, *args, **kwargs, return_state=True)
        return cast(R, result_of(state))

    return call


def carried_out(context: RunContext, execution: ExecutionConfig) -> Call:
    """By whom the config says; each stage that is done counts on the page of the run."""
    carry = on_pools if execution.mode == "pools" else in_process
    carry_out = carry(context, execution.retries)

    def call(task: Task[Concatenate[StageRunner, P], State[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        ref = carry_out(task, *args, **kwargs)
        count_done(ref)
        return ref

    return call


def planned(context: PlanContext) -> Call:
    """Each stage is looked up and none is started; Prefect is not asked."""

    def call(task: Task[Concatenate[StageRunner, P], State[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return cast(R, task.fn(context, *args, **kwargs).data)

    return call


@contextmanager
def tracked(config: ExperimentConfig, joined: RunContext | None, walk: Walk | None = None) -> Iterator[RunContext]:
    """The roadmap's run that a phase belongs to: the one it was given, or its own.

    With a walk through all stages, the page of a flow with a run of its own shows the plan and how far it is.
    """
    if joined is not None:
        yield joined
        return
    logging.getLogger("polymlops").setLevel(logging.INFO)  # Prefect sends what it is given to its API
    here = on_this_machine(config)
    source = _source_of_stages()
    flow_run_id = flow_run.get_id()
    with alone(config.name):
        close_runs(tracking_uri(here.tracking.uri, here.output_dir), here.output_dir)
        with roadmap_run(here, source, flow_run_id) as context, shown_plan(here, _plan_for_people(here, walk)):
            yield context


def planned_stages(config: ExperimentConfig, walk: Walk) -> list[PlannedStage]:
    """The stages that a walk asks for, each with whether the ledger has it; starts nothing and writes nothing.

    Raises:
        TrackingError: the tracking store cannot be reached.
    """
    context = plan_context(config)
    walk(planned(context), config)
    return context.stages


def spent_so_far(config: ExperimentConfig) -> float:
    """Dollars that the roadmap of a config has cost in all its attempts; 0 before the first.

    Raises:
        TrackingError: the tracking store cannot be reached.
    """
    context = plan_context(config)
    if context.client is None or context.experiment_id is None:
        return 0.0
    return spent_by(config, context.client, context.experiment_id, _source_of_stages())


def _source_of_stages() -> str:
    """Fingerprint of everything that stages use."""
    return folder_fingerprint(Path(tasks.__file__).parent)


def _plan_for_people(config: ExperimentConfig, walk: Walk | None) -> list[PlannedStage]:
    """Of no use to the run itself, which meets whatever is wrong here where it can be tried again."""
    if walk is None:
        return []
    try:
        return planned_stages(config, walk)
    except PolymlopsError as error:
        logger.warning("no plan can be shown: %s", error)
        return []
