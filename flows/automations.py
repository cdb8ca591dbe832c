"""What the Prefect server does by itself: a flow run that has gone silent is marked as crashed."""

from __future__ import annotations

from datetime import timedelta

from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from flows.environment import HEARTBEAT_S

SILENCE = timedelta(seconds=3 * HEARTBEAT_S)  # shorter, and a healthy run under load is taken for dead
FINAL = ("Completed", "Failed", "Cancelled", "Crashed")


def wanted_automations() -> list[AutomationCore]:
    """The automations."""
    beats = {f"prefect.flow-run.{name}" for name in ("heartbeat", *FINAL)}
    silence = EventTrigger(
        match={"prefect.resource.id": "prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
        after={"prefect.flow-run.heartbeat"},
        expect=beats,
        posture=Posture.Proactive,
        threshold=1,
        within=SILENCE,
    )
    seconds = f"{SILENCE.total_seconds():.0f} s"
    crash = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=f"no heartbeat for {seconds}")
    return [
        AutomationCore(
            name="polymlops-crash-silent-runs",
            description=f"A flow run whose heartbeat has not come for {seconds} has lost its process.",
            trigger=silence,
            actions=[crash],
        )
    ]
