"""The table of a phase: read from its report, and written on one MLflow run an arm, where runs are compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mlflow import MlflowClient
from pydantic import TypeAdapter, ValidationError

from polymlops.errors import ArtifactError
from polymlops.refs import ReportRef
from polymlops.tracking import ledger
from polymlops.tracking.records import TableRow
from polymlops.tracking.stages import RunContext
from polymlops.tracking.store import open_store, tracked_errors

TABLE, REPORT, ARM = "table.json", "report", "arm"
ROWS = TypeAdapter(tuple[TableRow, ...])


def read_table(folder: Path) -> tuple[TableRow, ...]:
    """Rows of a report folder's table.json; null stands for NaN.

    Raises:
        ArtifactError: there is no table, or it is no table.
    """
    try:
        return ROWS.validate_json((folder / TABLE).read_bytes())
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"{TABLE} of the report cannot be read: {error}") from error


def record_table(context: RunContext, report: ReportRef, domain: str) -> tuple[TableRow, ...]:
    """Log every row, as `domain/metric`, on the run of its arm (one under the roadmap's run); returns the rows.

    Raises:
        TrackingError: the store did not take it.
        ArtifactError: the report is damaged.
    """
    rows = read_table(context.fetch(report))
    record_rows(context, report, [row.model_copy(update={"metric": f"{domain}/{row.metric}"}) for row in rows])
    return rows


def record_rows(context: RunContext, report: ReportRef, rows: Sequence[TableRow]) -> None:
    """Log rows, whose metrics have their domain in front, on the runs of their arms.

    Raises:
        TrackingError: the store did not take it.
    """
    client, recorded = open_store(context.tracking_uri), f"{REPORT}.{report.digest[:16]}"
    runs = ledger.runs_below(client, context.experiment_id, context.parent_run_id, f"tags.{ledger.ROLE} = 'arm'")
    by_arm = {run.data.tags[ARM]: run for run in reversed(runs)}
    for arm in dict.fromkeys(row.arm for row in rows):
        run = by_arm.get(arm)
        if run is None or recorded not in run.data.tags or run.info.status != "FINISHED":
            run_id = run.info.run_id if run else _begin_arm(client, context, arm)
            _record(client, run_id, _metrics(row for row in rows if row.arm == arm), {recorded: report.run_id})


def _begin_arm(client: MlflowClient, context: RunContext, arm: str) -> str:
    tags = {ledger.PARENT: context.parent_run_id, ledger.RUN_NAME: arm, ARM: arm, ledger.ROLE: "arm"}
    return ledger.begin_run(client, context.experiment_id, tags, {ARM: arm})


def _record(client: MlflowClient, run_id: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
    with tracked_errors(f"look at run {run_id}"):
        began_ms = client.get_run(run_id).info.start_time  # so that a call that was killed may be repeated
    ledger.log_metrics(client, run_id, metrics, at_ms=began_ms)
    ledger.set_tags(client, run_id, tags)
    ledger.end_run(client, run_id, "FINISHED")


def _metrics(rows: Iterable[TableRow]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for row in rows:
        metrics[row.metric] = row.value
        if not math.isnan(row.low):
            metrics[f"{row.metric}_low"], metrics[f"{row.metric}_high"] = row.low, row.high
    return metrics
