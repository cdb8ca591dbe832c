"""Both UIs on loopback, on the databases of one output folder, until a signal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from flows.children import LOOPBACK, child, free_port, wait_until_answers
from flows.environment import prefect_home
from polymlops.config.schema import ExperimentConfig
from polymlops.errors import ConfigError, StageError
from polymlops.tracking.addresses import artifact_folder, tracking_uri
from polymlops.tracking.store import open_store

START_TIMEOUT_S = 180.0


def serve(config: ExperimentConfig, prefect_port: int, mlflow_port: int) -> None:
    """Start the servers, print their addresses, and stop them at the end, whichever way it comes.

    Raises:
        ConfigError: a port is taken.
        StageError: a server did not start, or ended by itself.
    """
    prefect_port, mlflow_port = _usable("--prefect-port", prefect_port), _usable("--mlflow-port", mlflow_port)
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.abandoned import close_runs

    output_dir = config.output_dir.resolve()
    uri = tracking_uri(config.tracking.uri, output_dir)
    artifacts = artifact_folder(uri, output_dir)
    prefect_url, mlflow_url = f"http://{LOOPBACK}:{prefect_port}", f"http://{LOOPBACK}:{mlflow_port}"
    with ExitStack() as stack:
        servers = {"Prefect": stack.enter_context(_prefect(config, prefect_port))}
        if artifacts is None:
            mlflow_url = uri  # a server already
        else:
            servers["MLflow"] = stack.enter_context(_mlflow(uri, output_dir, artifacts, mlflow_port))
            wait_until_answers(servers["MLflow"], f"{mlflow_url}/health", "the MLflow server", START_TIMEOUT_S)
        wait_until_answers(servers["Prefect"], f"{prefect_url}/api/health", "the Prefect server", START_TIMEOUT_S)
        if artifacts is not None:
            with temporary_settings({PREFECT_API_URL: f"{prefect_url}/api"}):
                close_runs(uri, output_dir)
        click.echo(f"Prefect {prefect_url}\nMLflow  {mlflow_url}")
        click.echo("Ctrl-C stops what was started.", err=True)
        _watch(servers)


def _usable(option: str, port: int) -> int:
    try:
        return free_port(port)
    except OSError as error:
        raise ConfigError(f"{option} {port}: {error.strerror}; choose another, or 0 for any free one") from None


@contextmanager
def _prefect(config: ExperimentConfig, port: int) -> Iterator[subprocess.Popen[bytes]]:
    env = os.environ | {
        "PREFECT_SERVER_UI_API_URL": f"http://{LOOPBACK}:{port}/api",
        "PREFECT_UI_STATIC_DIRECTORY": str(prefect_home(config.output_dir) / "ui"),
    }
    with child("flows.prefect_server", [str(port)], prefect_home(config.output_dir) / "ui.log", env) as process:
        yield process


@contextmanager
def _mlflow(uri: str, output_dir: Path, artifacts: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    open_store(uri)  # makes the tables of a new file, which several server processes would fight over
    command = [sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri, "--artifacts-destination", artifacts.as_uri()]
    command += ["--default-artifact-root", artifacts.as_uri()]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with child("flows.tether", command, output_dir / "mlflow-ui.log", env) as process:
        yield process


def _watch(servers: dict[str, subprocess.Popen[bytes]]) -> None:
    while True:
        for name, process in servers.items():
            if process.poll() is not None:
                raise StageError(f"the {name} server ended with code {process.returncode}")
        time.sleep(0.5)
