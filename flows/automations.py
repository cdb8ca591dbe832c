"""What the Prefect server does by itself: runs whose process or worker died are found, and go on or end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from flows.environment import HEARTBEAT_S

SILENCE = timedelta(seconds=3 * HEARTBEAT_S)  # shorter, and a healthy run under load is taken for dead
# From a worker's taking a run to its first sign of life, by the type of its pool. An image may have to be pulled first;
# a pod may wait for its GPU for hours, so that there no time says that the worker has died.
START = {"process": timedelta(minutes=5), "docker": timedelta(minutes=30)}
HEARTBEAT, PENDING, RUNNING = "prefect.flow-run.heartbeat", "prefect.flow-run.Pending", "prefect.flow-run.Running"
FINAL = tuple(f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled", "Crashed"))


def wanted_automations(pool_type: str) -> list[AutomationCore]:
    """The automations."""
    start = START.get(pool_type)
    return [_crash_silent(), *([] if start is None else [_reschedule_unstarted(start)])]


def _crash_silent() -> AutomationCore:
    seconds = f"{SILENCE.total_seconds():.0f} s"
    return AutomationCore(
        name="polymlops-crash-silent-runs",
        description=f"A flow run whose heartbeat has not come for {seconds} has lost its process.",
        trigger=_missing(HEARTBEAT, (HEARTBEAT, *FINAL), SILENCE),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=f"no heartbeat for {seconds}")],
    )


def _reschedule_unstarted(start: timedelta) -> AutomationCore:
    seconds = f"{start.total_seconds():.0f} s"
    again = ChangeFlowRunState(state=StateType.SCHEDULED, name="Rescheduled", message=f"not begun after {seconds}")
    return AutomationCore(
        name="polymlops-reschedule-unstarted-runs",
        description=f"A flow run that has not begun {seconds} after a worker took it has lost that worker.",
        trigger=_missing(PENDING, (RUNNING, HEARTBEAT, "prefect.flow-run.Rescheduled", *FINAL), start),
        actions=[again],
    )


def _missing(after: str, expected: Iterable[str], within: timedelta) -> EventTrigger:
    """Fires where a flow run has had one event, and none of the expected ones in time."""
    return EventTrigger(
        match={"prefect.resource.id": "prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
        after={after},
        expect=set(expected),
        posture=Posture.Proactive,
        threshold=1,
        within=within,
    )
