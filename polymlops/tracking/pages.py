"""The report page on the run of its roadmap."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient

from polymlops.tracking.store import tracked_errors

FOLDER = "report"


def log_page(client: MlflowClient, run_id: str, page: Path) -> str:
    """Log the page on a run, in place of an earlier one; returns its URI.

    Raises:
        TrackingError: the store did not take it.
    """
    with tracked_errors(f"log {page.name} on run {run_id}"):
        client.log_artifact(run_id, str(page), FOLDER)
        return f"{client.get_run(run_id).info.artifact_uri}/{FOLDER}/{page.name}"
