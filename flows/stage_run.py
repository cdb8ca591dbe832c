"""The flow behind the deployments `stage/gpu` and `stage/cpu`: one stage, done by a worker.

Neither its arguments nor its result are files: references go in, and the ledger has the reference that comes out.
"""

from __future__ import annotations

import logging

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.environment import working_folder
from flows.execution import InProcess
from flows.pools import REFUSED, stage_named
from flows.run_names import gpu_slot
from flows.stage_requests import StageRequest, load_arguments, on_machine
from polymlops.config.schema import ExperimentConfig
from polymlops.errors import StageError, UsageError
from polymlops.refs import Reference
from polymlops.tracking.stage import Outcome, R, Stage
from polymlops.tracking.stages import RunContext


@flow(name="stage", flow_run_name="{request.title}", persist_result=False)
def run_stage(request: StageRequest, limit: str | None = None) -> State[Reference]:
    """Do one stage on this machine, with its retries; `limit` counts the GPUs, of which it holds one."""
    logging.getLogger("polymlops").setLevel(logging.INFO)
    try:
        with gpu_slot(limit):
            ref = _do(request)
    except UsageError as error:  # the one who asked will raise it again as what it is
        return Failed(name=REFUSED, message=str(error))
    return Completed(message=f"MLflow run {ref.run_id}", data=ref)


def _do(request: StageRequest) -> Reference:
    task = stage_named(request.stage)
    output_dir = working_folder() / ExperimentConfig().output_dir
    arguments = on_machine(load_arguments(task, request.arguments), output_dir)
    task.fn(KeyCheck(request.key), **arguments)
    context = RunContext(
        tracking_uri=request.tracking_uri,
        experiment_id=request.experiment_id,
        parent_run_id=request.parent_run_id,
        output_dir=output_dir,
        flow_run_id=flow_run.get_id(),
        workers=request.workers,
    )
    return InProcess(context, request.retries, request.page, request.failures)(task, **arguments)


class KeyCheck:
    """Stands in for a RunContext: compares keys, so that no GPU works for a result that nobody would find."""

    def __init__(self, key: str) -> None:
        self.key = key

    def run(self, stage: Stage[R]) -> Outcome[R]:
        """A placeholder.

        Raises:
            StageError: this machine has another version of the source, or of a package that decides numbers.
        """
        if stage.key() != self.key:
            raise StageError(
                f"{stage.title} has key {stage.key()} here and {self.key} where it was asked for: "
                "install one version of polymlops and of its packages everywhere"
            )
        ref = stage.result(run_id="unknown", uri="unknown", digest="unknown")
        return Outcome(ref, cached=False, seconds=0.0)
