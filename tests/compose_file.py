"""docker/compose.yaml as this machine can run it: the same commands and environment, other folders and one address.

Every container has an address and folders of its own; here all processes share one loopback address, which no other
test uses, so that the ports of the file stay what they are.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

DOCKER = Path(__file__).resolve().parent.parent / "docker"
HOSTS = ("postgres", "redis", "prefect-server", "mlflow")
VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\})")
SECRETS = {
    "POSTGRES_PASSWORD": "superuser-secret",
    "PREFECT_DB_PASSWORD": 'prefect\'s "own" secret',
    "MLFLOW_DB_PASSWORD": "mlflow@own:/secret",
    "REDIS_PASSWORD": "redissecret",
    "PREFECT_AUTH": "operator:prefect-api-secret",
    "MLFLOW_ADMIN_PASSWORD": "mlflow-admin-secret",
    "MLFLOW_WORKER_PASSWORD": "mlflow-worker-secret",
    "MLFLOW_SECRET_KEY": "mlflow-session-secret",
}


@dataclass(frozen=True, slots=True)
class Service:
    """One service, ready to start."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    healthcheck: tuple[str, ...]
    folders: tuple[Path, ...]


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Text with ${NAME}, ${NAME:-default} and ${NAME:?message} filled in as compose does."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        found = variables.get(match["name"])
        if found:
            return found
        assert match["kind"] != "?", f"{match['name']}: {match['rest']}"
        return match["rest"] or ""

    return VARIABLE.sub(value, text)


def read_services(address: str, root: Path, variables: Mapping[str, str] = SECRETS) -> dict[str, Service]:
    """The services of the file, their hosts at `address` and their volumes below `root`."""
    document = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return {name: _service(name, raw, address, root, variables) for name, raw in document["services"].items()}


def _service(name: str, raw: Mapping, address: str, root: Path, variables: Mapping[str, str]) -> Service:
    mounts = dict(_mount(volume, root) for volume in raw.get("volumes", ()))

    def local(value: object) -> str:
        text = _at(interpolated(str(value), variables), address)
        for target, place in mounts.items():
            text = re.sub(rf"{re.escape(target)}(?![\w.])", str(place), text)
        return text

    environment = {key: _host(key, local(value), address) for key, value in raw.get("environment", {}).items()}
    command = raw["command"] if isinstance(raw["command"], list) else shlex.split(raw["command"])
    kind, *check = raw.get("healthcheck", {}).get("test", ["CMD"])
    check = ["sh", "-c", *check] if kind == "CMD-SHELL" else check
    folders = tuple(place for place in mounts.values() if not place.is_relative_to(DOCKER))
    return Service(name, tuple(map(local, command)), environment, tuple(map(local, check)), folders)


def _mount(volume: str, root: Path) -> tuple[str, Path]:
    source, target = volume.split(":")[:2]
    return target, (DOCKER / source).resolve() if source.startswith(".") else root / source


def _at(text: str, address: str) -> str:
    """All hosts, and every address to listen on, are the one address."""
    text = re.sub(rf"(?<![\w-])(?:{'|'.join(HOSTS)})(?=:\d)", address, text)
    return re.sub(r"127\.0\.0\.1|0\.0\.0\.0|(?<=listen_addresses=)\*", address, text)


def _host(key: str, value: str, address: str) -> str:
    return address if key.endswith("HOST") and value in HOSTS else value
