"""Pages of runs: the report on the run of its roadmap, and the addresses at which a browser finds a run's files."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from mlflow import MlflowClient

from polymlops.refs import Reference
from polymlops.tracking.artifacts import OUTPUT
from polymlops.tracking.store import tracked_errors

FOLDER = "report"
OWN_UI = "http://127.0.0.1:5000"  # where `polymlops ui` serves MLflow unless it is told otherwise


def log_page(client: MlflowClient, run_id: str, page: Path) -> str:
    """Log the page on a run, in place of an earlier one; returns its path among the run's artifacts.

    Raises:
        TrackingError: the store did not take it.
    """
    with tracked_errors(f"log {page.name} on run {run_id}"):
        client.log_artifact(run_id, str(page), FOLDER)
        return f"{FOLDER}/{page.name}"


def browser_address(tracking_uri: str) -> str:
    """Where a browser finds MLflow's pages: the tracking server, without a password that its URI may hold.

    A store without a server has its pages while `polymlops ui` runs.
    """
    parts = urlsplit(tracking_uri)
    if parts.scheme not in {"http", "https"}:
        return OWN_UI
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def run_page(address: str, experiment_id: str, run_id: str, artifact: str = "") -> str:
    """Address of a run's page, or of one of its artifacts there."""
    return f"{address}/#/experiments/{experiment_id}/runs/{run_id}" + (
        f"/artifacts/{quote(artifact)}" if artifact else ""
    )


def file_address(address: str, ref: Reference, name: str) -> str:
    """Address of the bytes of a file of a stage's artifact."""
    return f"{address}/get-artifact?path={quote(f'{OUTPUT}/{name}')}&run_uuid={ref.run_id}"
