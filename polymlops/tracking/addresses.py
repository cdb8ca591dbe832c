"""Where the tracking store and its artifacts lie, as a URI says it; nothing is opened."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse

SQLITE = "sqlite:///"


def tracking_uri(uri: str | None, output_dir: Path) -> str:
    """The given URI, or that of a SQLite file in the output folder."""
    return uri or f"{SQLITE}{output_dir.resolve() / 'mlflow.db'}"


def database_file(uri: str) -> Path | None:
    """The SQLite file behind a tracking URI; none for anything else."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def artifact_folder(uri: str, output_dir: Path) -> Path | None:
    """Folder for artifacts where this process opens the database itself; none where a server says where they go."""
    return None if urlparse(uri).scheme in {"http", "https"} else output_dir.resolve() / "artifacts"


def local_folder(artifact_uri: str) -> Path | None:
    """The folder behind an artifact URI on this machine; none for a remote one."""
    parts = urlparse(artifact_uri)
    if parts.scheme not in {"", "file"}:
        return None
    return Path(unquote(parts.path))
