"""From a profile's name, a file and `--set` pairs to a validated config; one line a fault, with its dotted path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from polymlops.config.schema import ExperimentConfig
from polymlops.errors import ConfigError

PACKAGE = "polymlops.profiles"


def profile_names() -> list[str]:
    """Names of the packaged profiles."""
    return sorted(p.name.removesuffix(".yaml") for p in resources.files(PACKAGE).iterdir() if p.name.endswith(".yaml"))


def load_config(profile: str = "demo", overrides: Iterable[str] = ()) -> ExperimentConfig:
    """Build the config of a packaged profile or a YAML file, with `a.b=c` overrides applied in order.

    A tagged section of which no `kind` is given is of its default's kind.

    Raises:
        ConfigError: an unknown profile, YAML that does not parse, or values that the schema refuses (one line a fault).
    """
    values = _read(profile)
    for pair in overrides:
        _apply(values, pair)
    return validate(_with_kinds(values, ExperimentConfig().model_dump(mode="json", by_alias=True)))


def validate(values: Mapping[str, Any]) -> ExperimentConfig:
    """Check plain values against the schema.

    Raises:
        ConfigError: one line a fault, `dotted.path: what is wrong (got value)`.
    """
    try:
        return ExperimentConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_line(fault) for fault in _told(error.errors()))) from None


def _with_kinds(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the default's `kind` wherever a section that has one names none."""
    kind = {"kind": defaults["kind"]} if "kind" in defaults else {}
    return {
        **kind,
        **{
            key: _with_kinds(value, defaults[key])
            if isinstance(value, Mapping) and isinstance(defaults.get(key), Mapping)
            else value
            for key, value in values.items()
        },
    }


def _told(faults: Sequence[Any]) -> list[Any]:
    """Without pydantic's "too short" about a list that is only short because its items were refused."""
    paths = [fault["loc"] for fault in faults]
    return [
        fault
        for fault in faults
        if fault["type"] != "too_short" or not any(path[:-1] == fault["loc"] for path in paths)
    ]


def _line(fault: Any) -> str:
    path = ".".join(str(part) for part in fault["loc"]) or "config"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return f"{path}: unknown key; `polymlops plan --json` prints the whole config"
    if fault["type"] == "union_tag_not_found":
        return f"{path}: says no kind, and has none by default: add {path}.kind"
    if fault["type"] == "value_error":
        return f"{path}: {message}" if fault["loc"] else message
    return f"{path}: {message} (got {fault['input']!r})"


def _read(profile: str) -> dict[str, Any]:
    path = Path(profile)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise ConfigError(f"{profile}: no such file")
        text = path.read_text(encoding="utf-8")
    elif profile in profile_names():
        text = resources.files(PACKAGE).joinpath(f"{profile}.yaml").read_text(encoding="utf-8")
    else:
        raise ConfigError(f"{profile}: no such profile; there are {', '.join(profile_names())}, or give a .yaml file")
    values = _parse(text, profile) or {}
    if not isinstance(values, dict):
        raise ConfigError(f"{profile}: expected keys and values, got {type(values).__name__}")
    return values


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML: {' '.join(str(error).split())}") from None


def _apply(values: dict[str, Any], pair: str) -> None:
    path, separator, text = pair.partition("=")
    if not separator or not path:
        raise ConfigError(f"--set {pair}: expected key.path=value")
    *parents, last = path.split(".")
    node = values
    for key in parents:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise ConfigError(f"--set {pair}: {key} is a value, not a section")
    node[last] = _parse(text, f"--set {pair}")
