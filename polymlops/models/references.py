"""Models that an artifact refers to instead of holding: their place, how to load them, and what must be there."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from polymlops.config.base_models import Device, Precision, Quantization
from polymlops.config.section import Section
from polymlops.errors import ArtifactError
from polymlops.models.hub import snapshot
from polymlops.models.weight_files import content_digest, weights_digest

FILE = "reference.json"


class ModelPlace(Section):
    """A folder of this machine, or a model on the Hub at a commit, with a digest of the folder's content."""

    path: Path | None = Field(None, description="absolute")
    id: str | None = Field(None, description="on the Hub; where there is no path")
    revision: str | None = None
    content: str | None = Field(None, description="sha256 over the folder's files; a commit needs none")
    pickled: bool = False

    @property
    def label(self) -> str:
        """For messages."""
        return str(self.path) if self.path is not None else f"{self.id}@{self.revision}"

    def folder(self) -> Path:
        """Where the files lie now.

        Raises:
            InputError, ArtifactError: they are gone, are others than they were, or cannot be fetched.
        """
        if self.path is None:
            return snapshot(str(self.id), str(self.revision), self.pickled)
        if not self.path.is_dir():
            raise ArtifactError(
                f"{self.path}: the folder of the base model is gone: put it back, or run with its new path"
            )
        if self.content is not None and content_digest(self.path) != self.content:
            raise ArtifactError(
                f"{self.path}: its files have changed since this run began: run again, or put them back"
            )
        return self.path


class BaseReference(ModelPlace):
    """A base model: its place, how it is loaded, and the digest by which adapters name it."""

    weights_sha256: str
    dtype: Precision
    device: Device
    quantization: Quantization


def read_reference(folder: Path) -> BaseReference | None:
    """What a base model's artifact refers to; none where the folder holds the model itself."""
    path = folder / FILE
    return BaseReference.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def model_folder(folder: Path) -> Path:
    """The folder with the weights of a base model: itself, or the one that it refers to.

    Raises:
        InputError, ArtifactError: as `ModelPlace.folder`.
    """
    reference = read_reference(folder)
    return folder if reference is None else reference.folder()


def encoder_folder(folder: Path) -> Path:
    """The same for an encoder."""
    path = folder / FILE
    if not path.is_file():
        return folder
    return ModelPlace.model_validate_json(path.read_text(encoding="utf-8")).folder()


def write_reference(reference: ModelPlace, folder: Path) -> None:
    """Leave a reference in the place of a model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(reference.model_dump_json(indent=1), encoding="utf-8")


def base_digest(folder: Path) -> str:
    """The digest by which an adapter names the base in a folder."""
    reference = read_reference(folder)
    return weights_digest(folder) if reference is None else reference.weights_sha256
