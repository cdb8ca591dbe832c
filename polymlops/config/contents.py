"""Files that a config names, by their content: a stage is remembered by what it read, not by where that lay."""

from __future__ import annotations

import hashlib
from pathlib import Path

from polymlops.errors import InputError


def file_digest(path: Path) -> str:
    """First 16 digits of the sha256 of a file.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); correct the path") from error


def model_digest(folder: Path) -> str:
    """First 16 digits of the sha256 of a model's weights, settings and templates.

    Raises:
        InputError: there is no model in the folder.
    """
    files = sorted(path for pattern in ("*.safetensors", "*.json", "*.jinja") for path in folder.glob(pattern))
    if not any(path.suffix == ".safetensors" for path in files):
        raise InputError(f"{folder}: no model here (*.safetensors is missing)")
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()[:16]
