"""What of a deployment or an automation is compared with the server, as JSON, and how Prefect's client takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.schemas.automations import AutomationCore

from flows.deployment_files import WantedDeployment


def deployment_values(wanted: WantedDeployment) -> dict[str, Any]:
    """The fields that are compared, as JSON."""
    return {
        "description": wanted.description,
        "entrypoint": wanted.entrypoint,
        "work_pool_name": wanted.pool,
        "parameters": wanted.parameters,
        "parameter_openapi_schema": wanted.schema,
        "enforce_parameter_schema": wanted.enforced,
        "job_variables": wanted.job_variables,
        "schedules": {entry.slug: entry.schedule.model_dump(mode="json") for entry in wanted.schedules},
        "concurrency": wanted.concurrency,
    }


def found_values(there: DeploymentResponse) -> dict[str, Any]:
    """The same fields of a deployment on the server."""
    values = there.model_dump(mode="json", include=set(DeploymentUpdate.model_fields) - {"concurrency_limit"})
    limit, options = there.global_concurrency_limit, there.concurrency_options
    concurrency = None
    if limit and options:
        concurrency = {"limit": limit.limit, "collision_strategy": options.collision_strategy.value}
    schedules = {entry.slug: entry.schedule.model_dump(mode="json") for entry in there.schedules}
    return {**values, "schedules": schedules, "concurrency": concurrency}


def client_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """As the client takes them."""
    arguments = dict(values)
    if "schedules" in arguments:
        entries = arguments.pop("schedules").items()
        arguments["schedules"] = [{"slug": slug, "schedule": schedule, "active": True} for slug, schedule in entries]
    if arguments.get("concurrency"):
        concurrency = arguments["concurrency"]
        arguments["concurrency_limit"] = concurrency["limit"]
        arguments["concurrency_options"] = {"collision_strategy": concurrency["collision_strategy"]}
    arguments.pop("concurrency", None)
    return arguments


def automation_values(automation: AutomationCore, fields: tuple[str, ...]) -> dict[str, Any]:
    """Fields as JSON, without ids that the server gives and with sets in an order."""
    values = AutomationCore.model_validate(automation.model_dump()).model_dump(mode="json", include=set(fields))
    values["trigger"].pop("id", None)
    return {name: _ordered(value) for name, value in values.items()}


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _ordered(item) for name, item in value.items()}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return sorted(value)
    return value
