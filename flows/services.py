"""A Prefect API for one call, where the user has none: started as a child, and never left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx

from flows.children import LOOPBACK, answers, child, wait_until_answers
from flows.environment import prefect_home, set_environment
from polymlops.config.schema import ExperimentConfig
from polymlops.errors import PolymlopsError, StageError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

R = TypeVar("R")
EPHEMERAL = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
START_TIMEOUT_S, SETTLE_TIMEOUT_S = 180.0, 15.0


@dataclass(frozen=True, slots=True)
class Services:
    """What is there while a flow runs."""

    own_api: bool

    def settled(self, state: State[R]) -> R:
        """The flow's result, once the API has written down how its tasks ended; raises what the flow raised."""
        if self.own_api:
            from flows.settling import wait_until_settled

            wait_until_settled(state.state_details.flow_run_id, SETTLE_TIMEOUT_S)
        from tasks.policy import result_of

        return result_of(state)


@contextmanager
def services(config: ExperimentConfig) -> Iterator[Services]:
    """Set the environment, and hold a Prefect API open unless PREFECT_API_URL names one.

    Raises:
        StageError: the API did not start, or does not answer.
    """
    set_environment(config)
    _limit_threads(config.execution.threads)
    prefect_home(config.output_dir).mkdir(parents=True, exist_ok=True)
    given = os.environ.get("PREFECT_API_URL")
    if given:
        if not answers(f"{given.rstrip('/')}/health"):
            raise StageError(f"PREFECT_API_URL {given} does not answer: start that server, or unset the variable")
        with raise_first_error():
            yield Services(own_api=False)
        return
    with raise_first_error(), local_api(prefect_home(config.output_dir) / "server.log") as url:
        from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        from flows.settling import send_everything

        # No one listens for heartbeats there, and every flow waits a second for its own to end.
        with temporary_settings({PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            try:
                yield Services(own_api=True)
            finally:
                send_everything(SETTLE_TIMEOUT_S)


@contextmanager
def raise_first_error() -> Iterator[None]:
    """Where Prefect's API fails while it writes down a failure, raise the failure, not what came after it."""
    try:
        yield
    except httpx.HTTPError as error:
        first = next((each for each in _behind(error) if isinstance(each, PolymlopsError | KeyboardInterrupt)), None)
        if first is not None:
            raise first from None
        raise StageError(f"the Prefect API failed: {str(error).splitlines()[0]}") from error


def _behind(error: BaseException) -> Iterator[BaseException]:
    """Errors during whose handling this one came up, the newest first."""
    following = error.__cause__ or error.__context__
    while following is not None:
        yield following
        following = following.__cause__ or following.__context__


def _limit_threads(threads: int) -> None:
    """Where torch was imported before us, the environment comes too late."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


@contextmanager
def local_api(log: Path) -> Iterator[str]:
    """Run a Prefect API without UI on a free loopback port; it ends with this process, even with SIGKILL.

    Raises:
        StageError: it did not start; the log says why.
    """
    with child("flows.prefect_server", ["0"], log, os.environ | EPHEMERAL) as process:
        url = f"http://{LOOPBACK}:{_port(process, log)}/api"
        import flows.roadmap  # noqa: F401  # seconds of imports that are needed anyway, while the server starts

        wait_until_answers(process, f"{url}/health", f"the Prefect API (log: {log})", START_TIMEOUT_S)
        yield url


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    line = process.stdout.readline().strip() if process.stdout else b""
    if not line:
        raise StageError(f"the Prefect API did not start (log: {log})")
    return int(line)
