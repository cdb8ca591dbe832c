"""What the task of a stage is before Prefect hears of it: a plan walks through stages without importing Prefect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeVar

from polymlops.refs import Reference
from polymlops.tracking.stage import Outcome, R, Stage

P = ParamSpec("P")
Q = TypeVar("Q", bound=Reference)


class StageRunner(Protocol):
    """Runs a stage, or plans it."""

    def run(self, stage: Stage[R]) -> Outcome[R]:
        """Give the stage's result."""


@dataclass(frozen=True)
class StageTask(Generic[P, Q]):
    """A function that has a runner do one stage; `run_name` is a template over its arguments, for people."""

    name: str
    run_name: str | None
    fn: Callable[Concatenate[StageRunner, P], Outcome[Q]]


def stage_task(
    name: str, run_name: str | None = None
) -> Callable[[Callable[Concatenate[StageRunner, P], Outcome[Q]]], StageTask[P, Q]]:
    """Make a stage's task of a function."""
    return lambda function: StageTask(name, run_name, function)
