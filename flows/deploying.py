"""`deploy`: compares a Prefect server with what it should have, and makes the difference."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import click
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    DeploymentUpdate,
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from flows.automations import wanted_automations
from flows.deployment_fields import automation_values, client_arguments, deployment_values, found_values
from flows.deployment_files import PoolType, WantedDeployment, WantedPool, wanted_deployments, wanted_pools
from flows.server_addresses import answering, mlflow_address, prefect_address
from polymlops.errors import ConfigError

GPU_LIMIT = "gpu"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, and what removes it."""

    thing: str  # "work pool gpu"
    fields: tuple[str, ...]  # that differ; none where it is not there at all
    make: Callable[[], Any]

    @property
    def found(self) -> str:
        """As it is."""
        return f"differs in {', '.join(self.fields)}" if self.fields else "is not there"

    @property
    def done(self) -> str:
        """As it is after the change."""
        return f"changed {self.thing}: {', '.join(self.fields)}" if self.fields else f"created {self.thing}"


def deploy(gpus: int, pool_type: str, check: bool, as_json: bool) -> bool:
    """Make the server as it should be, or say where it is not; returns whether there was a difference.

    Raises:
        ConfigError: a server is not named, or a pool has another type.
        StageError: the server refused something, or does not answer.
    """
    prefect_address()
    tracking_uri = mlflow_address()
    told: list[dict[str, Any]] = []
    with answering(), get_client(sync_client=True) as client:
        for change in changes(client, gpus, cast("PoolType", pool_type), tracking_uri):
            if not check:
                change.make()
            told.append({"thing": change.thing, "fields": list(change.fields)})
            if not as_json:
                click.echo(f"{change.thing} {change.found}" if check else change.done)
    if as_json:
        click.echo(json.dumps({"changed": not check, "differences": told}, indent=2))
    elif not told:
        click.echo("nothing to change")
    return bool(told)


def changes(client: SyncPrefectClient, gpus: int, pool_type: PoolType, tracking_uri: str) -> Iterator[Change]:
    """What is missing or different, in an order in which it can be made."""
    for pool in wanted_pools(pool_type):
        yield from _pool(client, pool)
    yield from _limit(client, GPU_LIMIT, gpus)
    for deployment in wanted_deployments(tracking_uri):
        yield from _deployment(client, deployment)
    for automation in wanted_automations(pool_type):
        yield from _automation(client, automation)


def _pool(client: SyncPrefectClient, wanted: WantedPool) -> Iterator[Change]:
    thing = f"work pool {wanted.name}"
    values = {"description": wanted.description, "base_job_template": wanted.base_job_template}
    try:
        there = client.read_work_pool(wanted.name)
    except ObjectNotFound:
        create = WorkPoolCreate(name=wanted.name, type=wanted.type, **values)
        yield Change(thing, (), partial(client.create_work_pool, create))
        return
    if there.type != wanted.type:
        raise ConfigError(
            f"work pool {wanted.name} is of type {there.type}, not {wanted.type}: give --pool-type {there.type}, or "
            f"delete it with `prefect work-pool delete {wanted.name}`"
        )
    fields = _differing(values, there.model_dump(mode="json"))
    if fields:
        update = WorkPoolUpdate(**{name: values[name] for name in fields})
        yield Change(thing, fields, partial(client.update_work_pool, wanted.name, update))


def _limit(client: SyncPrefectClient, name: str, limit: int) -> Iterator[Change]:
    thing = f"concurrency limit {name}"
    try:
        there = client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        create = GlobalConcurrencyLimitCreate(name=name, limit=limit)
        yield Change(thing, (), partial(client.create_global_concurrency_limit, create))
        return
    if there.limit != limit:
        update = GlobalConcurrencyLimitUpdate(limit=limit)
        yield Change(thing, ("limit",), partial(client.update_global_concurrency_limit, name, update))


def _deployment(client: SyncPrefectClient, wanted: WantedDeployment) -> Iterator[Change]:
    thing = f"deployment {wanted.title}"
    try:
        there = client.read_deployment_by_name(wanted.title)
    except ObjectNotFound:
        yield Change(thing, (), partial(_create, client, wanted))
        return
    values = deployment_values(wanted)
    fields = _differing(values, found_values(there))
    if fields:
        yield Change(thing, fields, partial(_update, client, there, {name: values[name] for name in fields}))


def _create(client: SyncPrefectClient, wanted: WantedDeployment) -> None:
    flow_id = client.create_flow_from_name(wanted.flow)
    client.create_deployment(flow_id, wanted.name, **client_arguments(deployment_values(wanted)))


def _update(client: SyncPrefectClient, there: DeploymentResponse, values: Mapping[str, Any]) -> None:
    """Change these fields and no others; whether it is paused stays as the operator has it."""
    kept = {"tags": there.tags}  # a default of Prefect's would remove them
    client.update_deployment(there.id, DeploymentUpdate(**kept, **client_arguments(values)))


def _automation(client: SyncPrefectClient, wanted: AutomationCore) -> Iterator[Change]:
    thing = f"automation {wanted.name}"
    there = next(iter(client.read_automations_by_name(wanted.name)), None)
    if there is None:
        yield Change(thing, (), partial(client.create_automation, wanted))
        return
    compared = ("description", "trigger", "actions")
    fields = _differing(automation_values(wanted, compared), automation_values(there, compared))
    if fields:
        yield Change(thing, fields, partial(client.update_automation, there.id, wanted))


def _differing(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name, value in wanted.items() if there.get(name) != value)
