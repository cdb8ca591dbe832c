"""Files of completions made elsewhere: JSON lines of `task_id` and `completion`, as published harnesses write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from polymlops.data.suite_problems import Suite
from polymlops.errors import InputError
from polymlops.evaluation.candidate_files import NumberedRow, open_rows, place
from polymlops.evaluation.candidate_rows import parse_row


@dataclass(frozen=True, slots=True)
class Completion:
    """One row of a file of completions; samples of a task are numbered in the order of the file."""

    task_id: str
    sample_id: int
    text: str


def read_completions(path: Path, suite: Suite | None = None) -> tuple[Completion, ...]:
    """Read JSON lines of `task_id` and `completion`, plain or gzipped; with a suite, its tasks only.

    Any text is a completion, of any length and with any characters that UTF-8 can hold.

    Raises: InputError with file, line and remedy for a row that cannot be used, an unknown task, or an empty file.
    """
    known = suite.by_task() if suite else None
    counts: dict[str, int] = {}
    found: list[Completion] = []
    with open_rows(path) as stream:
        for row in stream.rows:
            task_id, text = _task_and_text(path, row)
            if suite and known is not None and task_id not in known:
                example = suite.problems[0].task_id
                raise InputError(
                    f"{place(path, row.number)}: task_id {task_id!r} is not in {suite.name}, whose ids look like "
                    f"{example!r}: name the right suite, or remove the row"
                )
            counts[task_id] = counts.get(task_id, -1) + 1
            found.append(Completion(task_id, counts[task_id], text))
    if not found:
        raise InputError(f"{path}: no completion in it: write one object a line, with task_id and completion")
    return tuple(found)


def _task_and_text(path: Path, row: NumberedRow) -> tuple[str, str]:
    if row.values is None:
        raise InputError(f"{place(path, row.number)}: {row.fault}")
    try:
        parsed = parse_row({name: row.values[name] for name in ("task_id", "completion") if name in row.values})
    except InputError as error:
        raise InputError(f"{place(path, row.number)}: {error}") from None
    return parsed["prompt_id"], parsed["text"]
