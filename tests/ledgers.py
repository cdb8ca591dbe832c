"""What tests read from an output folder: runs, by stage, and the content of their artifacts."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

STAGES = "stages"


def finished_runs(output_dir: Path) -> dict[str, list[str]]:
    """Ids of the finished stage runs, by stage title."""
    found: dict[str, list[str]] = {}
    for title, run_id, status in stage_runs(output_dir):
        if status == "FINISHED":
            found.setdefault(title, []).append(run_id)
    return found


def stage_runs(output_dir: Path) -> list[tuple[str, str, str]]:
    """(title, run id, status) of every stage run, oldest first; none before there are tables."""
    return _runs_with_tag(output_dir / "mlflow.db", "stage_key")


def parent_runs(output_dir: Path) -> list[tuple[str, str, str]]:
    """(name, run id, status) of the roadmap runs, oldest first."""
    return _runs_with_tag(output_dir / "mlflow.db", "roadmap_key")


def _runs_with_tag(database: Path, tag: str) -> list[tuple[str, str, str]]:
    query = (
        "select name, run_uuid, status from runs where run_uuid in (select run_uuid from tags where key = ?)"
        " order by start_time"
    )
    if not database.exists():
        return []
    with sqlite3.connect(database) as connection:
        if not connection.execute("select 1 from sqlite_master where name = 'latest_metrics'").fetchall():
            return []
        return connection.execute(query, [tag]).fetchall()


def artifact(output_dir: Path, run_id: str) -> dict[str, bytes]:
    """Content of the files of a stage run, by relative path."""
    (folder,) = output_dir.glob(f"artifacts/*/{run_id}/artifacts/output")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def listed_stages(output_dir: Path) -> dict[str, dict[str, str]]:
    """The references that the roadmap's run lists."""
    (_, run_id, _), *_ = parent_runs(output_dir)
    listed: dict[str, dict[str, str]] = {}
    for path in sorted(output_dir.glob(f"artifacts/*/{run_id}/artifacts/{STAGES}/*.json")):
        listed |= json.loads(path.read_text())
    return listed
