"""The headline numbers of phase 4 on the MLflow run of each arm, where arms are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polymlops.errors import ArtifactError
from polymlops.refs import ReportRef
from polymlops.tracking.records import TableRow
from polymlops.tracking.stages import RunContext
from polymlops.tracking.tables import record_rows

ROWS, FINDINGS = "novel_metrics.json", "novel_findings.json"
# At the shown k only: all else, and the seeds by themselves, are on the run of the stage and in its files.
HEADLINES = ("usq_", "oracle_gain_", "efficiency_reward_", "regret_reward_", "der_", "coverage_efficiency_")


def record_novel_table(context: RunContext, reports: Mapping[str, ReportRef]) -> tuple[TableRow, ...]:
    """Log the headlines of every domain as `<domain>/usq_reward_at_10`; returns the rows under these names.

    Raises:
        TrackingError: the store did not take it.
        ArtifactError: a report is damaged.
    """
    every: list[TableRow] = []
    for report in reports.values():
        rows = headline_rows(context.fetch(report))
        record_rows(context, report, rows)
        every += rows
    return tuple(every)


def headline_rows(folder: Path) -> tuple[TableRow, ...]:
    """The headlines of a report's domains, over all seeds; a collapse point beyond n is undefined.

    Raises:
        ArtifactError: the files are missing or damaged.
    """
    try:
        rows = json.loads((folder / ROWS).read_bytes())
        shown = {domain: found["shown"] for domain, found in json.loads((folder / FINDINGS).read_bytes()).items()}
        return tuple(_row(row) for row in rows if row["seed"] is None and _is_headline(row, shown[row["domain"]]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{ROWS} of the report cannot be read: {error}") from error


def _is_headline(row: Mapping[str, Any], k: int) -> bool:
    name = row["metric"]
    return name == "collapse_point" or (name.startswith(HEADLINES) and name.endswith(f"_at_{k}"))


def _row(row: Mapping[str, Any]) -> TableRow:
    kept = {name: row[name] for name in ("arm", "value", "low", "high", "n")}
    return TableRow(metric=f"{row['domain']}/{row['metric']}", **kept)
