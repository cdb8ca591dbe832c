"""Rows of a Hub dataset at a pinned commit, streamed through `datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from polymlops.config.ingest import HubSource
from polymlops.data.ingest_rows import RawRow
from polymlops.errors import ArtifactError, InputError


def hub_rows(source: HubSource) -> Iterator[RawRow]:
    """Rows of the split in order, never all at once.

    Raises:
        InputError: the dataset, its subset, split or commit does not exist.
        ArtifactError: the Hub could not be reached; trying again may help.
    """
    import datasets

    label = f"{source.name}@{source.revision or 'local'}"
    try:
        for place, cells in enumerate(_stream(source), start=1):
            yield RawRow(place, cells)
    except (ConnectionError, TimeoutError) as error:
        raise ArtifactError(f"{label}: the Hub could not be reached ({_first_line(error)}): try again") from error
    except (FileNotFoundError, ValueError, datasets.exceptions.DatasetGenerationError) as error:
        remedy = "check the name, the subset, the split and the commit; a gated dataset needs `hf auth login`"
        raise InputError(f"{label} {source.split}: {_first_line(error)}: {remedy}") from error


def _stream(source: HubSource) -> Any:
    import datasets

    return datasets.load_dataset(
        source.name, source.subset, split=source.split, revision=source.revision, streaming=True
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
