"""A stage's attempts: each knows why those before it failed, and shows on a page how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from polymlops.tracking.stage import Attempt, Outcome, R, Stage
from tasks.progress import Page, page_here, shown_progress

LONGEST = 500  # characters of a reason


class AttemptingRunner(Protocol):
    """Runs a stage once."""

    def run(self, stage: Stage[R], attempt: Attempt) -> Outcome[R]:
        """Give the stage's result."""


class CountedRunner:
    """The runner of one stage's task, whose attempts it counts.

    Args:
        runner: does the work, here or elsewhere.
        page: flow run on whose page the progress is shown; none: the one that is under way.
        failures: why attempts by other processes failed.
    """

    def __init__(self, runner: AttemptingRunner, page: UUID | None = None, failures: Sequence[str] = ()) -> None:
        self.runner = runner
        self.page = page
        self.failures = tuple(failures)

    def run(self, stage: Stage[R]) -> Outcome[R]:
        """Give the stage's result; raises what the runner raises."""
        with shown_progress(stage.title, self._page()) as progress:
            try:
                return self.runner.run(stage, Attempt(self.failures, progress))
            except Exception as error:
                self.failures += (" ".join(f"{type(error).__name__}: {error}".split())[:LONGEST],)
                raise

    def _page(self) -> Page | None:
        here = page_here()
        return here if here is None or self.page is None else Page(self.page, here.task_run_id)
