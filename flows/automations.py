"""What the Prefect server does by itself: runs whose process or worker died are found, and go on or end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from flows.environment import HEARTBEAT_S

SILENCE = timedelta(seconds=3 * HEARTBEAT_S)  # shorter, and a healthy run under load is taken for dead
START = timedelta(minutes=5)  # from a worker's taking a run to its first sign of life; an image is there by then
HEARTBEAT, PENDING, RUNNING = "prefect.flow-run.heartbeat", "prefect.flow-run.Pending", "prefect.flow-run.Running"
FINAL = tuple(f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled", "Crashed"))


def wanted_automations(pool_type: str) -> list[AutomationCore]:
    """The automations. On Kubernetes a pod may wait for its GPU for hours; there its run stays pending."""
    seconds = f"{SILENCE.total_seconds():.0f} s"
    crash = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=f"no heartbeat for {seconds}")
    silent = AutomationCore(
        name="polymlops-crash-silent-runs",
        description=f"A flow run whose heartbeat has not come for {seconds} has lost its process.",
        trigger=_missing(HEARTBEAT, (HEARTBEAT, *FINAL), SILENCE),
        actions=[crash],
    )
    again = ChangeFlowRunState(
        state=StateType.SCHEDULED, name="Rescheduled", message=f"no start in {START.total_seconds():.0f} s"
    )
    unstarted = AutomationCore(
        name="polymlops-reschedule-unstarted-runs",
        description=f"A flow run that a worker took {START.total_seconds():.0f} s ago, and that has not begun, "
        "has lost that worker; another one may take it.",
        trigger=_missing(PENDING, (RUNNING, HEARTBEAT, "prefect.flow-run.Rescheduled", *FINAL), START),
        actions=[again],
    )
    return [silent] if pool_type == "kubernetes" else [silent, unstarted]


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
