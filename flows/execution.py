"""How a flow carries its stages out: as Prefect tasks here, or by workers of the pools. A plan is in flows.planning."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

from prefect.runtime import flow_run

from flows.abandoned import close_runs
from flows.calls import Call, Finder, Walk
from flows.environment import on_this_machine
from flows.planning import planned, source_of_stages
from flows.pools import pool_runner
from flows.run_names import alone
from flows.run_pages import count_done, shown_plan
from polymlops.config.execution import ExecutionConfig
from polymlops.config.schema import ExperimentConfig
from polymlops.errors import PolymlopsError
from polymlops.refs import Reference
from polymlops.tracking.addresses import tracking_uri
from polymlops.tracking.plans import PlannedStage
from polymlops.tracking.roadmaps import roadmap_run
from polymlops.tracking.stages import RunContext
from tasks.attempts import CountedRunner
from tasks.policy import as_prefect, result_of, retrying
from tasks.stage_task import StageTask

logger = logging.getLogger("polymlops.execution")
P = ParamSpec("P")
R = TypeVar("R", bound=Reference)


class InProcess:
    """Each stage is a Prefect task of the flow that runs here; see CountedRunner for page and failures."""

    def __init__(
        self, context: RunContext, retries: int, page: UUID | None = None, failures: Sequence[str] = ()
    ) -> None:
        self.context = context
        self.retries = retries
        self.page = page
        self.failures = failures

    def __call__(self, task: StageTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do the stage, or find it done; it counts on the page of the run."""
        runner = self._runner(task, args, kwargs)
        state = retrying(as_prefect(task), self.retries)(runner, *args, **kwargs, return_state=True)
        return _counted(cast(R, result_of(state)))

    def each(self, task: StageTask[..., R], calls: Sequence[tuple[Any, ...]]) -> list[R]:
        """One after the other: they would only share the machine."""
        return [self(task, *arguments) for arguments in calls]

    def knows(self, task: StageTask[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Whether the ledger has the result."""
        return task.fn(Finder(self.context.find), *args, **kwargs).cached

    def _runner(self, _task: StageTask[..., Any], _args: Sequence[Any], _kwargs: Mapping[str, Any]) -> CountedRunner:
        return CountedRunner(self.context, self.page, self.failures)


class OnPools(InProcess):
    """Each stage is a Prefect task of the flow that runs here, and the flow run of a worker that it waits for."""

    def each(self, task: StageTask[..., R], calls: Sequence[tuple[Any, ...]]) -> list[R]:
        """Side by side; all are waited for, so that the first failure ends no other."""
        wanted = retrying(as_prefect(task), self.retries)
        futures = [wanted.submit(self._runner(task, arguments, {}), *arguments) for arguments in calls]
        for future in futures:
            future.wait()
        return [_counted(cast(R, result_of(future.state))) for future in futures]

    def _runner(self, task: StageTask[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> CountedRunner:
        return CountedRunner(pool_runner(self.context, self.retries, task, args, kwargs))


def _counted(ref: R) -> R:
    count_done(ref)
    return ref


def carried_out(context: RunContext, execution: ExecutionConfig) -> Call:
    """By whom the config says."""
    carry = OnPools if execution.mode == "pools" else InProcess
    return carry(context, execution.retries)


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
    source = source_of_stages()
    flow_run_id = flow_run.get_id()
    with alone(config.name):
        close_runs(tracking_uri(here.tracking.uri, here.output_dir), here.output_dir)
        with roadmap_run(here, source, flow_run_id) as context, shown_plan(here, _plan_for_people(here, walk, context)):
            yield context


def _plan_for_people(config: ExperimentConfig, walk: Walk | None, context: RunContext) -> list[PlannedStage]:
    """Of no use to the run itself, which meets whatever is wrong here where it can be tried again."""
    if walk is None:
        return []
    try:
        plan = planned(config, walk)
    except PolymlopsError as error:
        logger.warning("no plan can be shown: %s", error)
        return []
    context.remember(plan.found)
    return plan.stages
