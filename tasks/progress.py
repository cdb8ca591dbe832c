"""How far a stage or a flow is, as a progress artifact of Prefect that is sent from a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.utilities.context import get_task_and_flow_run_ids

from polymlops.records import ProgressLog, silent
from polymlops.report.markdown import plain
from tasks.run_pages import REFUSALS, artifact_key, create_artifact, in_thread, logger, page_client

INTERVAL_S, PAUSE_S = 5.0, 30.0  # between two updates; after the API did not take one
LAST_S = 5.0  # that the end of a stage waits for its last update


@dataclass(frozen=True, slots=True)
class Page:
    """The page of a flow run, and the task run that what is shown there belongs to."""

    flow_run_id: UUID
    task_run_id: UUID | None = None


def page_here() -> Page | None:
    """The page of the run that is under way; none outside of one."""
    task_run_id, flow_run_id = get_task_and_flow_run_ids()
    return None if flow_run_id is None else Page(flow_run_id, task_run_id)


@contextmanager
def shown_progress(title: str, page: Page | None) -> Iterator[ProgressLog]:
    """A ProgressLog whose last word every INTERVAL_S is on a page; nothing that the API does or fails to do is felt."""
    if page is None:
        yield silent
        return
    shown = PageProgress(title, page)
    try:
        yield shown
    finally:
        shown.close()


class PageProgress:
    """The newest of what it is told, sent at a modest rate. The artifact is made when there is something to say."""

    def __init__(self, title: str, page: Page) -> None:
        self._title = title
        self._page = page
        self._newest: tuple[float, float, str] | None = None
        self._ended = Event()
        self._thread: Thread | None = None
        self._artifact: UUID | None = None
        self._complained = False

    def __call__(self, done: float, total: float, unit: str, /) -> None:
        """Take the newest state."""
        self._newest = (done, total, unit)
        if self._thread is None:
            self._thread = in_thread(self._send_until_ended, f"progress-{self._title}")

    def close(self) -> None:
        """Send the last state, or leave it after LAST_S."""
        self._ended.set()
        if self._thread is None:
            return
        self._thread.join(LAST_S)
        if self._thread.is_alive():
            self._complain("the Prefect API does not answer")

    def _send_until_ended(self) -> None:
        sent, is_last = None, False
        while not is_last:
            is_last = self._ended.is_set()  # before the newest is read, so that the last one is sent
            newest, pause = self._newest, INTERVAL_S
            if newest is not None and newest != sent:
                sent, pause = (newest, INTERVAL_S) if self._is_taken(*newest) else (sent, PAUSE_S)
            self._ended.wait(pause)

    def _is_taken(self, done: float, total: float, unit: str) -> bool:
        try:
            with page_client() as client:
                self._put(client, 100 * min(done / total, 1.0) if total else 0.0, f"{done:,} of {total:,} {unit}s")
        except REFUSALS as error:
            self._complain(str(error))
            return False
        return True

    def _complain(self, reason: str) -> None:
        """Once, however long it lasts."""
        if not self._complained:
            logger.warning("%s: its progress is not shown for now: %s", self._title, reason)
        self._complained = True

    def _put(self, client: SyncPrefectClient, percent: float, text: str) -> None:
        description = plain(f"{self._title}: {text}")
        if self._artifact is not None:
            client.update_artifact(self._artifact, ArtifactUpdate(data=percent, description=description))
            return
        artifact = ArtifactCreate(
            type="progress",
            key=artifact_key("progress", self._title),
            data=percent,
            description=description,
            flow_run_id=self._page.flow_run_id,
            task_run_id=self._page.task_run_id,
        )
        self._artifact = create_artifact(client, artifact)
