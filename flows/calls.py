"""How a phase has its stages done: it calls, and somebody else decides what that means; here: they are only planned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar

from polymlops.config.schema import ExperimentConfig
from polymlops.refs import Reference
from polymlops.tracking.plans import PlanContext
from polymlops.tracking.stage import Outcome, Stage
from tasks.stage_task import StageTask

P = ParamSpec("P")
R = TypeVar("R", bound=Reference)


class Call(Protocol):
    """Carries out one stage's task and gives its reference."""

    def __call__(self, task: StageTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Give the stage's result."""

    def each(self, task: StageTask[..., R], calls: Sequence[tuple[Any, ...]]) -> list[R]:
        """Have a task done for several arguments; side by side where there is room for that."""

    def knows(self, task: StageTask[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Whether the result is there already."""


Walk = Callable[[Call, ExperimentConfig], object]  # calls every stage of a phase, or of all


class Finder:
    """Stands in for a RunContext: looks stages up, and notes none."""

    def __init__(self, find: Callable[[Stage[Any]], Outcome[Any] | None]) -> None:
        self.find = find

    def run(self, stage: Stage[R]) -> Outcome[R]:
        """The result, or a placeholder that is not cached."""
        ref = stage.result(run_id="unknown", uri="unknown", digest="unknown")
        return self.find(stage) or Outcome(ref, cached=False, seconds=0.0)


class Planned:
    """Each stage is looked up and none is started; Prefect is not asked."""

    def __init__(self, context: PlanContext) -> None:
        self.context = context

    def __call__(self, task: StageTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the ledger has, or a placeholder."""
        return task.fn(self.context, *args, **kwargs).ref

    def each(self, task: StageTask[..., R], calls: Sequence[tuple[Any, ...]]) -> list[R]:
        """One after the other."""
        return [self(task, *arguments) for arguments in calls]

    def knows(self, task: StageTask[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Whether the ledger has it."""
        return task.fn(Finder(self.context.find), *args, **kwargs).cached
