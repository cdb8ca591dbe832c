"""One column of one split of a data set, from the Hub at a pinned commit or from a folder, through `datasets`.

Only that column becomes Python: WritingPrompts has 300,000 stories beside its prompts.
"""

from __future__ import annotations

from typing import Any

from polymlops.config.creative import WritingPromptsConfig
from polymlops.data.suite_files import SuiteRow
from polymlops.errors import ArtifactError, InputError


def hub_prompts(source: WritingPromptsConfig) -> list[SuiteRow]:
    """The prompts of a repository at a commit.

    Raises:
        InputError: the repository, the commit, the split or the column does not exist.
        ArtifactError: the Hub could not be reached, and the cache has no copy; trying again may help.
    """
    return _column(source, str(source.hub), f"{source.hub}@{str(source.revision)[:12]}")


def folder_prompts(source: WritingPromptsConfig) -> list[SuiteRow]:
    """The prompts of a folder in any layout that `datasets` knows. Raises: InputError as in `hub_prompts`."""
    return _column(source, str(source.path), str(source.path))


def _column(source: WritingPromptsConfig, where: str, label: str) -> list[SuiteRow]:
    table = _load(source, where, label)
    if source.field not in table.column_names:
        raise InputError(f"{label}: no column {source.field!r}: it has {', '.join(table.column_names)}; set field=")
    places = (f"{label}: {source.split} row {i}" for i in range(1, len(table) + 1))
    # Arrow takes any bytes for text; they are decoded one by one, so that a bad row can be named.
    cells = table.data.column(source.field)
    return [SuiteRow(place, {source.field: _text(cell, place)}) for place, cell in zip(places, cells, strict=True)]


def _text(cell: Any, place: str) -> Any:
    try:
        return cell.as_py()
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: not UTF-8 ({error.reason}): write UTF-8 jsonl or parquet") from None


def _load(source: WritingPromptsConfig, where: str, label: str) -> Any:
    import datasets

    try:
        return datasets.load_dataset(where, split=source.split, revision=source.revision)
    except (FileNotFoundError, ValueError) as error:  # ValueError: no such split, or no such commit
        # A repository that is not cached is also "not found" where there is no network: another try may find it.
        if source.hub is not None and _unreachable(error):
            raise _no_hub(label, error) from error
        raise InputError(f"{label}: {_first_line(error)}: check the place, the split and the commit") from error
    except (ConnectionError, TimeoutError) as error:
        raise _no_hub(label, error) from error
    except datasets.exceptions.DatasetGenerationError as error:
        cause = error.__cause__ or error
        raise InputError(f"{label}: cannot be read ({_first_line(cause)}): write jsonl or parquet") from error


def _unreachable(error: BaseException) -> bool:
    return any(isinstance(link, ConnectionError | TimeoutError) for link in _chain(error))


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found:
        found.append(link)
        link = link.__cause__ or link.__context__
    return found


def _no_hub(label: str, error: BaseException) -> ArtifactError:
    return ArtifactError(
        f"{label}: the Hub could not be reached ({_first_line(error)}): try again, or give a local folder with path="
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
