"""The files of a source, and the digest that stands for their content in what is remembered of a run."""

from __future__ import annotations

import hashlib
from pathlib import Path

from polymlops.config.ingest import FileSource
from polymlops.config.schema import DataConfig
from polymlops.data.ingest_rows import READERS, format_of
from polymlops.errors import InputError


def files_of(path: Path) -> list[Path]:
    """The file, or every file of a folder that can be read, by name; hidden ones are passed over.

    Raises: InputError where there is none.
    """
    formats = ", ".join(READERS)
    if path.is_file():
        if not format_of(path):
            raise InputError(f"{path}: not one of {formats} (plain or .gz)")
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder")
    inside = [file for file in path.rglob("*") if file.is_file() and format_of(file)]
    found = sorted(file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts))
    if not found:
        raise InputError(f"{path}: no file in it is one of {formats} (plain or .gz)")
    return found


def content_digest(path: Path) -> str:
    """sha256 over the names and the contents of the files of a source."""
    total = hashlib.sha256()
    for file in files_of(path):
        name = file.name if file == path else str(file.relative_to(path))
        total.update(f"{name}\0{file_digest(file)}\n".encode())
    return total.hexdigest()


def file_digest(file: Path) -> str:
    """sha256 of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pinned(config: DataConfig) -> DataConfig:
    """The config with its file's content named, so that other content is another stage; sources without files as is.

    Raises: InputError where there is no such file, or its content is not what the config asks for.
    """
    source = config.source
    if not isinstance(source, FileSource):
        return config
    found = content_digest(source.path)
    if source.sha256 not in (None, found):
        raise InputError(f"{source.path}: its sha256 is {found}, not {source.sha256}: another file, or unset it")
    return config.model_copy(update={"source": source.model_copy(update={"sha256": found})})
