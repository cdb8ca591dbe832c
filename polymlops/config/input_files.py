"""Files that a config names: told by their path, remembered by what they hold.

A stage's key holds the digest in place of the path: an edited file is another input, a moved one the same. What cannot
be read has no digest: the stage that needs it says so.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer, SerializationInfo

BY_CONTENT = "by content"  # context of a dump that is hashed


def path_digest(path: Path) -> str:
    """Sha256 of a file, or of the names and contents of a folder's files; where it lies does not count.

    Raises: OSError where it cannot be read.
    """
    if not path.is_dir():
        return _file_digest(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{_file_digest(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _told(path: Path, info: SerializationInfo) -> str:
    if info.context != BY_CONTENT:
        return str(path)
    try:
        return f"sha256:{path_digest(path)}"
    except OSError:
        return "unreadable"


InputPath = Annotated[Path, PlainSerializer(_told)]
