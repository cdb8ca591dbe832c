"""How a stage's task behaves: which failures are worth another attempt, and how its end shows in Prefect."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import httpx
import requests
from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from polymlops.errors import DataQualityError, TrackingError, TrainingError, UsageError, WorkerLostError
from polymlops.tracking.stage import Outcome
from tasks.stage_task import Q, StageRunner, StageTask

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")
NEVER = (UsageError, TrainingError, DataQualityError)
ALWAYS = (
    TrackingError,
    WorkerLostError,
    ConnectionError,
    TimeoutError,
    requests.ConnectionError,
    requests.Timeout,
    httpx.TransportError,
)
TOO_MANY_REQUESTS, FIRST_SERVER_ERROR = 429, 500


def is_transient(error: BaseException) -> bool:
    """True where the same call may succeed a little later: the tracking store, a hub, a connection."""
    if isinstance(error, NEVER):
        return False
    if isinstance(error, ALWAYS):
        return True
    if isinstance(error, requests.HTTPError | httpx.HTTPStatusError) and error.response is not None:
        status = error.response.status_code
        return status == TOO_MANY_REQUESTS or status >= FIRST_SERVER_ERROR
    return error.__cause__ is not None and is_transient(error.__cause__)


def may_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Prefect's retry condition."""
    return isinstance(state.data, BaseException) and is_transient(state.data)


def as_state(outcome: Outcome[Q]) -> State[Q]:
    """The state in which a stage's task ends: `Cached` where the ledger had the result, with what retries were for."""
    message = f"run {outcome.ref.run_id}, {outcome.seconds:.1f} s"
    if outcome.failures:
        message += f", attempt {len(outcome.failures) + 1} after {'; '.join(outcome.failures)}"
    return Completed(name="Cached" if outcome.cached else "Completed", message=message, data=outcome.ref)


def result_of(state: State[S]) -> S:
    """What a state holds, or the error that it ended with, with or without a running event loop."""
    return state.result(_sync=True)  # type: ignore[call-overload]  # Prefect's decorator takes `_sync`, unseen


def prefect_task(name: str, run_name: str | None = None) -> Callable[[Callable[P, State[T]]], Task[P, State[T]]]:
    """Make a Prefect task of a function that says itself in which state it ends."""

    def decorate(function: Callable[P, State[T]]) -> Task[P, State[T]]:
        return Task(
            function,
            name=name,
            task_run_name=run_name,
            cache_policy=NO_CACHE,  # the ledger in MLflow remembers; two caches could disagree
            persist_result=False,
            retry_jitter_factor=0.5,
            retry_condition_fn=may_retry,
        )

    return decorate


def as_prefect(task: StageTask[P, Q]) -> Task[Concatenate[StageRunner, P], State[Q]]:
    """A stage's task as Prefect's."""

    @wraps(task.fn)
    def function(runner: StageRunner, *args: P.args, **kwargs: P.kwargs) -> State[Q]:
        return as_state(task.fn(runner, *args, **kwargs))

    return prefect_task(task.name, task.run_name)(function)


def retrying(task: Task[P, State[T]], retries: int) -> Task[P, State[T]]:
    """The task with that many retries, two seconds and then twice as long apart.

    Prefect computes the delays when it is told the number of retries, so both are told together.
    """
    return task.with_options(retries=retries, retry_delay_seconds=exponential_backoff(backoff_factor=2))
