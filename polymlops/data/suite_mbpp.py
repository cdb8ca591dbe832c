"""MBPP's two files as problems: which split a task is in, and which function its tests call.

Source: Austin et al. 2021, arXiv:2108.07732, section 2.2 (splits by task id) and appendix (prompt).
"""

from __future__ import annotations

import ast
from typing import Literal

from polymlops.data.suite_files import SuiteRow
from polymlops.data.suite_problems import Problem
from polymlops.data.suite_syntax import called_names, defined_names, parse_source
from polymlops.errors import InputError

Variant = Literal["full", "sanitized"]
SPLIT_STARTS = {"prompt": 1, "test": 11, "validation": 511, "train": 601}
LAST_TASK = 974


def mbpp_split(task_id: int) -> str:
    """The official split of a task: 1-10 prompt, 11-510 test, 511-600 validation, 601-974 train.

    Raises: InputError for another number.
    """
    if not 1 <= task_id <= LAST_TASK:
        raise InputError(f"task_id {task_id} is none of MBPP's, which are 1 to {LAST_TASK}")
    return [name for name, start in SPLIT_STARTS.items() if task_id >= start][-1]


def mbpp_problem(row: SuiteRow, variant: Variant) -> Problem:
    """A row of the full file (text, test_setup_code) or of the sanitized one (prompt, test_imports).

    Raises: InputError where a key is missing, code is not Python, or no test calls what the solution defines.
    """
    number = row.number("task_id")
    try:
        split = mbpp_split(number)
    except InputError as error:
        raise InputError(f"{row.place}: {error}: use kind 'file' for other problems") from None
    if variant == "full":
        description, setup = row.text("text"), row.text("test_setup_code", needed=False)
    else:
        description, setup = row.text("prompt"), "\n".join(row.texts("test_imports", needed=False))
    tests, code = row.texts("test_list"), row.text("code")
    entry_point = _entry_point(row, tests, code)
    task_id = f"MBPP/{number}"
    joined = "\n".join(tests)
    return Problem(task_id, description, "", entry_point, joined, setup, code, task_id, split)


def _entry_point(row: SuiteRow, tests: tuple[str, ...], code: str) -> str:
    """The name that the first test calls and the solution defines."""
    program = _tree(row, "code", code)
    defined = set(defined_names(program))
    called = [name for test in tests for name in called_names(_tree(row, "test_list", test))]
    found = [name for name in called if name in defined]
    if not found:
        raise InputError(f"{row.place}: 'test_list' calls nothing that 'code' defines: so there is no entry point")
    return found[0]


def _tree(row: SuiteRow, key: str, source: str) -> ast.Module:
    parsed = parse_source(source)
    if parsed.tree is None:
        raise InputError(f"{row.place}: {key!r} is not Python ({parsed.fault}): correct it")
    return parsed.tree
