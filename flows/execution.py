"""How a flow's stages are carried out: as Prefect tasks in this process, by workers of the pools, or only planned."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast

from prefect import Task
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

import tasks
from flows.abandoned import close_runs
from flows.environment import on_this_machine
from flows.pools import pool_runner
from flows.run_names import alone
from polymlops.config.execution import ExecutionConfig
from polymlops.config.schema import ExperimentConfig
from polymlops.refs import Reference
from polymlops.tracking.fingerprint import folder_fingerprint
from polymlops.tracking.plans import PlanContext
from polymlops.tracking.roadmaps import roadmap_run
from polymlops.tracking.stages import RunContext
from polymlops.tracking.store import tracking_uri
from tasks.policy import StageRunner, result_of, retrying

P = ParamSpec("P")
R = TypeVar("R", bound=Reference)


class Call(Protocol):
    """Carries out one stage's task and gives its reference."""

    def __call__(self, task: Task[Concatenate[StageRunner, P], State[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Give the stage's result."""


def in_process(context: RunContext, retries: int) -> Call:
    """Each stage is a Prefect task of the flow that runs here."""

    def call(task: Task[Concatenate[StageRunner, P], State[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        state = retrying(task, retries)(context, *args, **kwargs, return_state=True)
        return cast(R, result_of(state))

    return call


def on_pools(context: RunContext, retries: int) -> Call:
    """Each stage is a Prefect task of the flow that runs here, and the flow run of a worker that it waits for."""

    def call(task: Task[Concatenate[StageRunner, P], State[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        runner = pool_runner(context, retries, task, args, kwargs)
        state = retrying(task, retries)(runner, *args, **kwargs, return_state=True)
        return cast(R, result_of(state))

    return call


def carried_out(context: RunContext, execution: ExecutionConfig) -> Call:
    """By whom the config says."""
    carry = on_pools if execution.mode == "pools" else in_process
    return carry(context, execution.retries)


def planned(context: PlanContext) -> Call:
    """Each stage is looked up and none is started; Prefect is not asked."""

    def call(task: Task[Concatenate[StageRunner, P], State[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return cast(R, task.fn(context, *args, **kwargs).data)

    return call


@contextmanager
def tracked(config: ExperimentConfig, joined: RunContext | None) -> Iterator[RunContext]:
    """The roadmap's run that a phase belongs to: the one it was given, or its own."""
    if joined is not None:
        yield joined
        return
    logging.getLogger("polymlops").setLevel(logging.INFO)  # Prefect sends what it is given to its API
    here = on_this_machine(config)
    source = folder_fingerprint(Path(tasks.__file__).parent)
    flow_run_id = flow_run.get_id()
    with alone(config.name):
        close_runs(tracking_uri(here.tracking.uri, here.output_dir), here.output_dir)
        with roadmap_run(here, source, flow_run_id) as context:
            yield context
