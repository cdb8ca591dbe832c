"""A stage as something to ask another machine for: its name and its arguments as JSON, and back."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from polymlops.config.execution import WorkersConfig
from polymlops.errors import StageError
from tasks.stage_task import StageTask


class StageRequest(BaseModel):
    """All that a worker needs for one stage; files travel as references, through the artifact store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str = Field(description="name of its task")
    title: str = Field(description="for people: `train_adapter polychromic/42`")
    key: str = Field(description="key under which the ledger will have the result")
    arguments: dict[str, Any] = Field(description="of the task, by name, as JSON")
    tracking_uri: str = Field(description="address of the MLflow server")
    experiment_id: str
    parent_run_id: str = Field(description="MLflow run of the roadmap")
    retries: int = Field(ge=0, description="where another attempt can help")
    page: UUID | None = Field(None, description="flow run on whose page the progress is shown")
    failures: tuple[str, ...] = Field((), description="why attempts by other workers failed")
    workers: WorkersConfig = Field(WorkersConfig(), description="who does the shards of the stage")


def dump_arguments(task: StageTask[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """A task's arguments as JSON, by name; its first, the runner, is not among them."""
    bound = inspect.signature(task.fn).bind(None, *args, **kwargs)
    types = _types(task)
    return {
        name: TypeAdapter(types[name]).dump_python(value, mode="json", by_alias=True)
        for name, value in bound.arguments.items()
        if name in types
    }


def load_arguments(task: StageTask[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A task's arguments from JSON, checked against its annotations.

    Raises:
        StageError: a name that the task does not take; the two sides are of different versions.
    """
    types = _types(task)
    unknown = sorted(arguments.keys() - types.keys())
    if unknown:
        raise StageError(f"{task.name} takes no {', '.join(unknown)}: install one version everywhere")
    return {name: TypeAdapter(types[name]).validate_python(value) for name, value in arguments.items()}


def on_machine(arguments: Mapping[str, Any], output_dir: Path) -> dict[str, Any]:
    """The arguments with the files that their records name (no artifacts: a judge's store) in this output folder."""
    return {name: _moved(value, output_dir) for name, value in arguments.items()}


def _moved(value: Any, output_dir: Path) -> Any:
    if not is_dataclass(value) or isinstance(value, type):
        return value
    files = {field.name: getattr(value, field.name) for field in fields(value)}
    return replace(value, **{name: output_dir / path.name for name, path in files.items() if isinstance(path, Path)})


def _types(task: StageTask[..., Any]) -> dict[str, Any]:
    hints = get_type_hints(task.fn)
    _runner, *names = inspect.signature(task.fn).parameters
    return {name: hints[name] for name in names}
