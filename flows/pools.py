"""The stages that work pools do, and the runner that has a stage done there instead of here."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from flows.stage_requests import StageRequest, dump_arguments
from polymlops.config.hashing import content_hash
from polymlops.errors import StageError, UsageError, WorkerLostError
from polymlops.tracking import ledger
from polymlops.tracking.budget import check_budget
from polymlops.tracking.prices import pool_of
from polymlops.tracking.stage import Attempt, Outcome, R, Stage
from polymlops.tracking.stages import RunContext
from polymlops.tracking.store import open_store
from tasks.analysis import analyse_adapters, analyse_mechanism, check_theory
from tasks.arms import sample_arm, score_samples, train_adapter
from tasks.coding import make_zero_adapter, sample_programs, score_programs, train_on_programs, write_code_results
from tasks.creative import prepare_prompts, sample_texts, score_texts, write_creative_results
from tasks.novel import measure_domain
from tasks.preparation import build_base_model, prepare_dataset
from tasks.progress import page_here
from tasks.reporting import write_core_results, write_cross_domain, write_theoretical_depth
from tasks.rewards import train_grpo, train_reward_model
from tasks.stage_task import StageTask

STAGES: tuple[StageTask[..., Any], ...] = (
    build_base_model,
    train_adapter,
    sample_arm,
    train_reward_model,
    train_grpo,
    sample_programs,
    train_on_programs,
    sample_texts,
    analyse_mechanism,
    prepare_dataset,
    score_samples,
    score_programs,
    make_zero_adapter,
    write_core_results,
    write_theoretical_depth,
    write_code_results,
    prepare_prompts,
    score_texts,
    write_creative_results,
    write_cross_domain,
    analyse_adapters,
    check_theory,
    measure_domain,
)
STAGE_FLOW, REFUSED = "stage", "Refused"
POLL_S, SILENCE_S = 2.0, 600.0
logger = logging.getLogger("polymlops.pools")


def stage_named(name: str) -> StageTask[..., Any]:
    """A stage's task.

    Raises:
        StageError: there is none of that name.
    """
    found = {task.name: task for task in STAGES}.get(name)
    if found is None:
        raise StageError(f"no stage {name} here: install the version that asked for it")
    return found


class PoolRunner:
    """Stands in for a RunContext: a stage that the ledger does not have is done by a worker of its pool.

    Two roadmaps that want one stage, or one that was restarted while a worker is at it, wait for the same flow run.
    """

    def __init__(self, context: RunContext, retries: int, task: str, arguments: Mapping[str, Any]) -> None:
        self.context = context
        self.retries = retries
        self.task = task
        self.arguments = arguments

    def run(self, stage: Stage[R], attempt: Attempt) -> Outcome[R]:
        """Return the stage's artifact from the ledger, or wait for a worker to make it.

        Raises:
            UsageError: the worker refused the request; it would refuse it again.
            WorkerLostError: its worker is gone.
            BudgetError: the roadmap's money does not reach for it.
            StageError: it failed, or was cancelled.
        """
        found = self.context.find(stage)
        if found is not None:
            logger.info("%s: cached", stage.title)
            return found
        check_budget(open_store(self.context.tracking_uri), self.context, stage)
        request = self._request(stage, attempt)
        try:
            run = _completed(request, _dispatch(request))
        except WorkerLostError as error:
            client = open_store(self.context.tracking_uri)
            ledger.close_lost(client, ledger.open_runs(client, request.key), str(error))
            raise
        made = self.context.find(stage)
        if made is None:
            raise StageError(f"flow run {run.id} completed {stage.title}, but the ledger does not have it")
        logger.info("%s: done by flow run %s in %.1f s", stage.title, run.name, made.seconds)
        failures = ledger.earlier_failures(open_store(self.context.tracking_uri), made.ref.run_id)
        return Outcome(made.ref, False, made.seconds, failures)

    def _request(self, stage: Stage[Any], attempt: Attempt) -> StageRequest:
        here = page_here()
        return StageRequest(
            stage=self.task,
            title=stage.title,
            key=stage.key(),
            arguments=dict(self.arguments),
            tracking_uri=self.context.tracking_uri,
            experiment_id=self.context.experiment_id,
            parent_run_id=self.context.parent_run_id,
            retries=self.retries,
            page=None if here is None else here.flow_run_id,
            failures=attempt.failures,
            workers=self.context.workers,
        )


def pool_runner(
    context: RunContext, retries: int, task: StageTask[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> PoolRunner:
    """The runner for one call of a stage's task."""
    return PoolRunner(context, retries, task.name, dump_arguments(task, args, kwargs))


def _dispatch(request: StageRequest) -> FlowRun:
    """Have the stage done, by the run that is at it already if there is one; gives the run when it has ended."""
    for attempt in itertools.count():
        run = _flow_run(request, attempt)
        if run.state is None or not run.state.is_final():
            logger.info("%s: waits for pool %s, flow run %s", request.title, pool_of(request.stage), run.id)
            return _ended(run)
    raise AssertionError  # the count has no end


def _flow_run(request: StageRequest, attempt: int) -> FlowRun:
    """The flow run of an attempt: made by the first that asks for it, and given to all others."""
    name = f"{STAGE_FLOW}/{pool_of(request.stage)}"
    try:
        found = run_deployment(  # type: ignore[call-arg]  # Prefect's decorator takes `_sync`, unseen
            name,
            parameters={"request": request.model_dump(mode="json")},
            flow_run_name=request.title,
            idempotency_key=f"{content_hash(request.key, request.tracking_uri)}:{attempt}",
            timeout=0,
            _sync=True,
        )
    except ObjectNotFound as error:
        raise UsageError(f"there is no deployment {name}: run `polymlops deploy` first") from error
    return cast(FlowRun, found)


def _ended(run: FlowRun) -> FlowRun:
    """Wait for a flow run's end, through times in which the API cannot be reached."""
    last_answer = time.monotonic()
    with get_client(sync_client=True) as client:
        while run.state is None or not run.state.is_final():
            time.sleep(POLL_S)
            try:
                run, last_answer = client.read_flow_run(run.id), time.monotonic()
            except httpx.HTTPError as error:
                if time.monotonic() - last_answer > SILENCE_S:
                    raise StageError(f"the Prefect API has not answered for {SILENCE_S:.0f} s: {error}") from error
    return run


def _completed(request: StageRequest, run: FlowRun) -> FlowRun:
    state = run.state
    assert state is not None
    what = f"{request.title} on pool {pool_of(request.stage)}: {state.message or state.name} (flow run {run.id})"
    if state.is_completed():
        return run
    if state.name == REFUSED:
        raise UsageError(state.message or what)
    if state.type == StateType.CRASHED:
        raise WorkerLostError(what)
    raise StageError(what)
