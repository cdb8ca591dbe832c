"""The models that the registry serves, as the artifacts that they were made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from polymlops.config.schema import STARTS as START_OF
from polymlops.config.schema import Arm
from polymlops.errors import ArtifactError, InputError
from polymlops.refs import ModelRef, Reference, RewardRef
from polymlops.tracking import ledger
from polymlops.tracking.artifacts import OUTPUT
from polymlops.tracking.registry import CANDIDATE, STARTS, registered_name
from polymlops.tracking.registry_promotion import CHAMPION
from polymlops.tracking.stages import RunContext
from polymlops.tracking.store import open_store, tracked_errors

R = TypeVar("R", bound=Reference)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A version that an alias names; `arm` and `seed` are those of the run that trained its adapter."""

    uri: str
    alias: Literal["champion", "candidate"]
    arm: Arm
    seed: int
    base: ModelRef
    adapter: ModelRef
    reward: RewardRef | None


def served_models(context: RunContext, profile: str) -> list[ServedModel]:
    """The champion of each start, or its candidate where none was promoted.

    Raises:
        InputError: the profile has no registered model.
        ArtifactError: what a version was made of is no longer there.
        TrackingError: the store cannot be reached.
    """
    client = open_store(context.tracking_uri)
    found = [_served(client, registered_name(profile, start)) for start in STARTS]
    served = [model for model in found if model is not None]
    if not served:
        raise InputError(f"no model of {profile} is registered: run its phase 2 first")
    return served


def _served(client: MlflowClient, name: str) -> ServedModel | None:
    for alias in (CHAMPION, CANDIDATE):
        version = _version(client, name, alias)
        if version is not None:
            return _of_version(client, version, cast('Literal["champion", "candidate"]', alias))
    return None


def _of_version(client: MlflowClient, version: ModelVersion, alias: Literal["champion", "candidate"]) -> ServedModel:
    tags = version.tags
    with tracked_errors(f"look at run {version.run_id}"):
        trained = client.get_run(str(version.run_id)).data.tags
    adapter = _artifact(client, tags["adapter_digest"], ModelRef)
    base = _artifact(client, tags["base_digest"], ModelRef)
    reward = _artifact(client, tags["reward_digest"], RewardRef) if "reward_digest" in tags else None
    arm = next(arm for arm, start in START_OF.items() if start == tags["start"])
    return ServedModel(
        f"models:/{version.name}/{version.version}", alias, arm, int(trained["seed"]), base, adapter, reward
    )


def _version(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    with tracked_errors(f"look for the {alias} of {name}"):
        try:
            return client.get_model_version_by_alias(name, alias)
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise


def _artifact(client: MlflowClient, digest: str, kind: type[R]) -> R:
    condition = f"tags.{ledger.DIGEST} = '{digest}' and attributes.status = 'FINISHED'"
    for run in ledger.search(client, condition):
        if ledger.INVALID not in run.data.tags:
            return kind(run_id=run.info.run_id, uri=f"{run.info.artifact_uri}/{OUTPUT}", digest=digest)
    raise ArtifactError(f"no finished run has the artifact with digest {digest}: run the roadmap again")
