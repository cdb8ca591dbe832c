"""The model registry: a trained adapter becomes a version of a registered model, once, whole, with alias `candidate`.

Each version has a copy of its base (4 MB for the embedded one) unless that lies on a hub, so that a process which
reaches nothing but the MLflow store can load it. `registry_promotion` decides about the alias `champion`.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from polymlops.config.hashing import content_hash
from polymlops.config.sampling import SamplingConfig
from polymlops.errors import InputError, TrackingError
from polymlops.models.loading import check_base
from polymlops.refs import ModelRef, Reference, RewardRef
from polymlops.tracking.ranked_replies import HubBase, ReplySettings
from polymlops.tracking.records import RegisteredVersion
from polymlops.tracking.registry_package import Package, code_version
from polymlops.tracking.registry_shelf import Shelf
from polymlops.tracking.stages import RunContext
from polymlops.tracking.store import locked, open_store, tracked_errors

CANDIDATE = "candidate"
STARTS = ("baseline", "polychromic")
PROFILE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class RegistryCandidate:
    """What is to be registered. `adapter.run_id` is the run that trained it, and becomes the version's.

    `base` is an artifact, or a model on a hub; `reward` is the reward model that ranks, none for the heuristic reward.
    """

    profile: str
    start: Literal["baseline", "polychromic"]
    adapter: ModelRef
    base: ModelRef | HubBase
    reward: RewardRef | None
    sampling: SamplingConfig

    @property
    def name(self) -> str:
        """Name of the registered model.

        Raises:
            InputError: profile or start cannot be part of a name.
        """
        return registered_name(self.profile, self.start)

    @property
    def sources(self) -> dict[str, Reference]:
        """The artifacts that are copied into a version, by role."""
        optional = {"base": self.base if isinstance(self.base, ModelRef) else None, "reward": self.reward}
        return {"adapter": self.adapter} | {role: ref for role, ref in optional.items() if ref is not None}

    def tags(self) -> dict[str, str]:
        """What a version is made of: two with equal values are one."""
        digests = {f"{role}_digest": ref.digest for role, ref in self.sources.items()}
        hub = {"base_model": f"{self.base.model_id}@{self.base.revision}"} if isinstance(self.base, HubBase) else {}
        settings = content_hash(ReplySettings.of(self.sampling))
        named = {"profile": self.profile, "start": self.start}
        return {**named, **digests, **hub, "settings": settings, "code_version": code_version()}


def registered_name(profile: str, start: str) -> str:
    """Name of a registered model.

    Raises:
        InputError: profile or start cannot be part of a name.
    """
    if not PROFILE.fullmatch(profile) or start not in STARTS:
        raise InputError(
            f"profile {profile!r} and start {start!r} cannot name a registered model: "
            f"a profile is 1 to 64 of a-z, 0-9, '.', '_' and '-'; a start is one of {', '.join(STARTS)}"
        )
    # MLflow allows no point in the name of a model.
    return f"polymlops-{profile.replace('.', '_')}-grpo-{start}"


def register_adapter(context: RunContext, candidate: RegistryCandidate) -> RegisteredVersion:
    """Make the candidate a version of its registered model and give it the alias `candidate`.

    A repeated call makes no second version; one that was killed is taken up where it stopped.

    Raises:
        InputError: the adapter is not one, was made for another base, or the name cannot be used.
        ArtifactError: an artifact is missing or damaged.
        TrackingError: the store did not take or give something.
    """
    name, tags = candidate.name, candidate.tags()
    shelf = Shelf(open_store(context.tracking_uri), context.experiment_id, name, content_hash(name, tags))
    with locked(context.output_dir / "locks" / f"registry-{name}.lock"):
        version = shelf.settled() or _new_version(context, candidate, shelf, tags)
        shelf.complete(version)
        point_alias(shelf.client, name, CANDIDATE, int(version.version))
        return read_version(shelf.client, name, int(version.version))


def read_version(client: MlflowClient, name: str, version: int) -> RegisteredVersion:
    """A version as the store has it now.

    Raises:
        TrackingError: there is no such version, or the store cannot be reached.
    """
    with tracked_errors(f"look at version {version} of {name}"):
        found = client.get_model_version(name, str(version))
    if not found.run_id:
        raise TrackingError(f"version {version} of {name} belongs to no run: it was not registered from here")
    uri = f"models:/{name}/{version}"
    return RegisteredVersion(name, version, uri, tuple(sorted(found.aliases)), found.run_id)


def point_alias(client: MlflowClient, name: str, alias: str, version: int) -> None:
    """Let an alias name a version, and no other.

    Raises:
        TrackingError: the store did not take it.
    """
    with tracked_errors(f"make version {version} the {alias} of {name}"):
        client.set_registered_model_alias(name, alias, str(version))


def _new_version(context: RunContext, candidate: RegistryCandidate, shelf: Shelf, tags: dict[str, str]) -> ModelVersion:
    model = shelf.ready_model()
    if model is None:
        folder = context.output_dir / "work" / f"register-{shelf.key}"
        _package(context, candidate).write(folder)
        model = shelf.store_model(folder, candidate.adapter.run_id)
        shutil.rmtree(folder, ignore_errors=True)
    shelf.add_version(model, tags)
    version = shelf.settled()  # another machine may have been faster
    if version is None:
        raise TrackingError(f"{shelf.name}: the version that was just made is not there; is the store being cleaned?")
    return version


def _package(context: RunContext, candidate: RegistryCandidate) -> Package:
    folders: dict[str, Path] = {role: context.fetch(ref) for role, ref in candidate.sources.items()}
    hub = candidate.base if isinstance(candidate.base, HubBase) else None
    base = folders["base"] if hub is None else hub.folder()
    check_base(base, folders["adapter"])
    return Package(base, hub, folders, candidate.sources, ReplySettings.of(candidate.sampling))
