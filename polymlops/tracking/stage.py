"""One stage as a value: name, slice, inputs and work, and the key that follows from them. Nothing here asks MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from polymlops.config.hashing import canonical, content_hash
from polymlops.records import Job, ProgressLog, silent
from polymlops.refs import Reference
from polymlops.tracking.fingerprint import work_fingerprint

R = TypeVar("R", bound=Reference)
Work = Callable[[Mapping[str, Path], Job], Mapping[str, float]]
LABELS = ("arm", "seed", "domain")


@dataclass(frozen=True)
class Stage(Generic[R]):
    """What to do: a name, a slice of the config, references by role, and the library call that does it.

    `parts` are inputs, too, but only a shorter way to the same result: they are in no key.
    `work` gets a folder for every role and a job; its source, and the library source that it reaches, are in the key.
    """

    name: str
    spec: BaseModel
    result: type[R]
    work: Work
    inputs: Mapping[str, Reference] = field(default_factory=dict)
    parts: Mapping[str, Reference] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """Arm, seed and domain of an arm's stage; nothing for the others, whose seed is no training seed."""
        values = canonical(self.spec)
        return {name: str(values[name]) for name in LABELS if name in values} if "arm" in values else {}

    @property
    def title(self) -> str:
        """For people: `train_adapter polychromic/42`."""
        labels, block = self.labels, canonical(self.spec).get("block")
        part = f" part {block['index'] + 1} of {block['of']}" if block else ""
        return f"{self.name} {labels['arm']}/{labels['seed']}{part}" if labels else self.name

    def key(self) -> str:
        """Equal keys mean equal results: name, slice, digests of the inputs, and the source that does the work."""
        digests = {role: ref.digest for role, ref in self.inputs.items()}
        return content_hash(self.name, self.spec, digests, work_fingerprint(self.work))


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """A stage's result, whether it had to be made, and why earlier attempts at it failed."""

    ref: R
    cached: bool
    seconds: float
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """One of several attempts at a stage: why those before it failed, and where it says how far it is."""

    failures: tuple[str, ...] = ()
    progress: ProgressLog = silent


FIRST = Attempt()
