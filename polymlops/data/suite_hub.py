"""Rows of a suite from the Hub at a pinned commit, or from a local folder in the same layout, through `datasets`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymlops.data.suite_files import SuiteRow
from polymlops.errors import ArtifactError, InputError

FILES = {"parquet": (".parquet",), "json": (".jsonl", ".jsonl.gz", ".json")}


@dataclass(frozen=True, slots=True)
class Source:
    """What `datasets` is asked for, and how a message calls it."""

    where: str
    label: str
    subset: str | None
    revision: str | None = None
    files: Mapping[str, str] | None = None


def hub_rows(repository: str, revision: str | None, subset: str | None) -> list[SuiteRow]:
    """Every row of all splits of a repository at a commit.

    Raises:
        InputError: the repository, its subset or the commit does not exist.
        ArtifactError: the Hub could not be reached, and the cache has no copy; trying again may help.
    """
    return _rows(Source(repository, f"{repository}@{revision}", subset, revision))


def folder_rows(folder: Path, subset: str | None) -> list[SuiteRow]:
    """Every row of a local folder: a copy of a Hub repository, whose card names its files, or any folder of files.

    Without a card, every parquet and JSON lines file counts, of the subfolder named as the subset where there is one.

    Raises: InputError where there is no such file, or `datasets` cannot read one.
    """
    card = folder / "README.md"
    if card.is_file() and "configs:" in card.read_text(encoding="utf-8", errors="replace"):
        return _rows(Source(str(folder), str(folder), subset))
    inner = folder / subset if subset and (folder / subset).is_dir() else folder
    for kind, endings in FILES.items():
        found = sorted(path for path in inner.rglob("*") if path.name.endswith(endings))
        if found:
            files = {re.sub(r"\W+", "_", str(path.relative_to(inner))): str(path) for path in found}
            return _rows(Source(kind, str(folder), None, files=files))
    raise InputError(f"{folder}: no parquet or JSON lines file in it: give another folder, or a file")


def _rows(source: Source) -> list[SuiteRow]:
    rows = [
        SuiteRow(f"{source.label}: {split} row {number}", values)
        for split, table in _load(source).items()
        for number, values in enumerate(table, start=1)
    ]
    if not rows:
        raise InputError(f"{source.label}: no problem in it: give another repository or folder")
    return rows


def _load(source: Source) -> Any:
    import datasets

    label = source.label
    try:
        return datasets.load_dataset(source.where, source.subset, revision=source.revision, data_files=source.files)
    except (FileNotFoundError, ValueError) as error:  # ValueError: no such subset, or no such commit
        raise InputError(f"{label}: {_first_line(error)}: check the id, the subset and the commit") from error
    except (ConnectionError, TimeoutError) as error:
        remedy = "try again, or give a local file with path="
        raise ArtifactError(f"{label}: the Hub could not be reached ({_first_line(error)}): {remedy}") from error
    except datasets.exceptions.DatasetGenerationError as error:
        cause = error.__cause__ or error
        raise InputError(f"{label}: cannot be read ({_first_line(cause)}): write jsonl or parquet") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
