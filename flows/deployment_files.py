"""deployments/prefect.yaml and the job templates beside it, read into what Prefect's API takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

import yaml
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.flows import Flow
from prefect.utilities.callables import parameter_schema
from prefect.utilities.importtools import import_object
from prefect.workers.process import ProcessWorker

from flows.environment import WORKER
from polymlops.config.hashing import canonical
from polymlops.config.profiles import load_config

PACKAGE, FILE, TEMPLATES = "deployments", "prefect.yaml", "job_templates"
PoolType = Literal["process", "docker", "kubernetes"]


@dataclass(frozen=True, slots=True)
class WantedPool:
    """A work pool as it should be."""

    name: str
    description: str
    type: PoolType
    base_job_template: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WantedDeployment:
    """A deployment as it should be."""

    flow: str
    name: str
    description: str
    entrypoint: str
    pool: str
    parameters: dict[str, Any]
    schema: dict[str, Any]
    enforced: bool
    schedules: tuple[DeploymentScheduleCreate, ...]
    concurrency: dict[str, Any] | None

    @property
    def title(self) -> str:
        """As Prefect names it."""
        return f"{self.flow}/{self.name}"

    @property
    def job_variables(self) -> dict[str, Any]:
        """What its flow runs find in their environment."""
        return {"env": dict(WORKER)}


def wanted_pools(kind: PoolType) -> list[WantedPool]:
    """The work pools, for workers that start processes or containers."""
    return [
        WantedPool(pool["name"], pool["description"], kind, _template(pool["name"], kind)) for pool in _file()["pools"]
    ]


def wanted_deployments(tracking_uri: str) -> list[WantedDeployment]:
    """The deployments; their runs are remembered at this address.

    Raises:
        ConfigError: the schema refuses a config of the file.
    """
    return [_deployment(entry, tracking_uri) for entry in _file()["deployments"]]


def _deployment(entry: Mapping[str, Any], tracking_uri: str) -> WantedDeployment:
    flow = import_object(entry["entrypoint"])
    assert isinstance(flow, Flow)
    parameters = dict(entry.get("parameters", {}))
    if "config" in entry:
        parameters["config"] = deployed_config(**entry["config"], tracking_uri=tracking_uri)
    return WantedDeployment(
        flow=flow.name,
        name=entry["name"],
        description=entry["description"],
        entrypoint=entry["entrypoint"],
        pool=entry["work_pool"]["name"],
        parameters=parameters,
        schema=parameter_schema(flow).model_dump(mode="json"),
        enforced=entry["enforce_parameter_schema"],
        schedules=tuple(_schedule(**schedule) for schedule in entry.get("schedules", ())),
        concurrency=entry.get("concurrency_limit"),
    )


def deployed_config(profile: str, settings: tuple[str, ...] = (), *, tracking_uri: str) -> dict[str, Any]:
    """A profile's whole config as JSON, for the pools.

    Raises:
        ConfigError: the schema refuses it.
    """
    where = ("execution.mode=pools", f"tracking.uri={tracking_uri}")
    return dict(canonical(load_config(profile, (*settings, *where))))


def _schedule(slug: str, cron: str, timezone: str) -> DeploymentScheduleCreate:
    return DeploymentScheduleCreate(slug=slug, schedule=CronSchedule(cron=cron, timezone=timezone), active=True)


def _template(pool: str, kind: PoolType) -> dict[str, Any]:
    if kind == "process":
        return dict(ProcessWorker.get_default_base_job_template())
    text = resources.files(PACKAGE).joinpath(TEMPLATES, f"{pool}-{kind}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def _file() -> dict[str, Any]:
    return dict(yaml.safe_load(resources.files(PACKAGE).joinpath(FILE).read_text(encoding="utf-8")))
