"""`submit`: a flow run of a deployment, refused with our own words before the server hears of it."""

from __future__ import annotations

import json

import click
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows.deployment_files import deployed_config, wanted_deployments
from flows.server_addresses import answering, mlflow_address, prefect_address
from polymlops.errors import ConfigError


def submit(deployment: str, profile: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Create a flow run, and print its id and address.

    Raises:
        ConfigError: the schema refuses the config, or there is no such deployment.
        StageError: the server refused something, or does not answer.
    """
    address, tracking_uri = prefect_address(), mlflow_address()
    config = deployed_config(profile, overrides, tracking_uri=tracking_uri)
    known = {wanted.name: wanted.title for wanted in wanted_deployments(tracking_uri) if "config" in wanted.parameters}
    if deployment not in known:
        raise ConfigError(f"{deployment}: no such deployment; there are {', '.join(known)}")
    with answering(), get_client(sync_client=True) as client:
        try:
            there = client.read_deployment_by_name(known[deployment])
        except ObjectNotFound:
            raise ConfigError(f"{deployment} is not on the server at {address}: run `polymlops deploy`") from None
        run = client.create_flow_run_from_deployment(there.id, parameters={"config": config})
    page = f"{address.removesuffix('/').removesuffix('/api')}/runs/flow-run/{run.id}"
    click.echo(json.dumps({"id": str(run.id), "name": run.name, "page": page}) if as_json else f"{run.name}: {page}")
