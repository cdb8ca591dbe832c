"""What an artifact folder holds: every file with its size and sha256. Written last, it means that the rest is there."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from polymlops.errors import ArtifactError

MANIFEST = "manifest.json"


class Entry(BaseModel):
    """One file of an artifact folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(description="relative, with forward slashes")
    size: int = Field(ge=0, description="bytes")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        pure = PurePosixPath(path)
        strange = "\\" in path or "://" in path or "\0" in path
        if pure.is_absolute() or ".." in pure.parts or strange or not pure.parts:
            raise ValueError(f"{path!r} leaves the artifact folder")
        return path


class Manifest(BaseModel):
    """The files of an artifact folder, in order of their paths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[Entry, ...]

    @property
    def digest(self) -> str:
        """Sha256 over the relative paths and contents: equal folders have equal digests, wherever they lie."""
        lines = "".join(f"{entry.path}\0{entry.size}\0{entry.sha256}\n" for entry in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()


def read_folder(folder: Path) -> Manifest:
    """Measure every file below a folder."""
    paths = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    return Manifest(
        files=tuple(Entry(path=name, size=path.stat().st_size, sha256=file_digest(path)) for name, path in paths)
    )


def parse_manifest(text: str) -> Manifest:
    """Read a manifest back.

    Raises:
        ArtifactError: it is truncated, or no manifest at all.
    """
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ArtifactError(f"{MANIFEST} is damaged: {fault['msg']}") from None


def find_fault(folder: Path, manifest: Manifest) -> str | None:
    """First difference between a folder and its manifest, with the digests; none where they agree."""
    for entry in manifest.files:
        path = folder / entry.path
        if not path.is_file():
            return f"{entry.path} is missing"
        found = file_digest(path)
        if found != entry.sha256:
            return f"{entry.path} has sha256 {found}, expected {entry.sha256}"
    return None


def file_digest(path: Path) -> str:
    """Sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
