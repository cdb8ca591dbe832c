"""Suites of programming problems: HumanEval, MBPP, anyone's file in HumanEval's schema, and the embedded world's own.

What is accepted is complete: a problem without an entry point, with an id that was there before, or whose prompt is
not Python, is an error at load that names file, line and key. Whether a problem's own solution passes its own tests is
what `check_suite` finds out; it is asked for, because it executes code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from polymlops.config.suites import FileSuiteConfig, HumanEvalConfig, MbppConfig, SuiteConfig, WorldSuiteConfig
from polymlops.data.suite_files import SuiteRow, read_suite_rows
from polymlops.data.suite_hub import folder_rows, hub_rows
from polymlops.data.suite_mbpp import mbpp_problem
from polymlops.data.suite_problems import Problem, Suite
from polymlops.data.suite_syntax import defined_names, parse_source
from polymlops.data.suite_world import world_problems
from polymlops.errors import DataQualityError, InputError

__all__ = ["Fault", "Problem", "Suite", "check_suite", "load_suite", "require_sound", "world_problems"]

SHOWN_FAULTS = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem whose own solution does not pass, and what became of it."""

    task_id: str
    reason: str


def load_suite(config: SuiteConfig) -> Suite:
    """Load the suite that a config names.

    Raises:
        InputError: a file or row that cannot be used; the message names file, line, key and remedy.
        ArtifactError: the Hub could not be reached.
    """
    match config:
        case WorldSuiteConfig():
            source = f"embedded world, seed {config.seed}, {config.split}"
            return Suite("world", source, world_problems(config.seed, config.count, config.split))
        case HumanEvalConfig():
            rows = _rows(config.path, config.hub, config.revision, "openai_humaneval")
            return Suite("humaneval", _source(config), unique(rows, humaneval_problem))
        case MbppConfig():
            return _mbpp(config)
        case FileSuiteConfig():
            rows = _rows(config.path, config.hub, config.revision, None)
            name = config.path.name.partition(".")[0] if config.path else str(config.hub).partition("/")[2]
            return Suite(name, _source(config), unique(rows, humaneval_problem))


def humaneval_problem(row: SuiteRow) -> Problem:
    """A row in HumanEval's schema.

    Raises: InputError where a key is missing, the prompt is not Python, or it does not define the entry point.
    """
    prompt, entry_point = row.text("prompt"), row.text("entry_point")
    if not entry_point.isidentifier():
        raise InputError(f"{row.place}: 'entry_point' is {entry_point!r}: write the function's name")
    tests = row.text("test")
    parsed = parse_source(tests)
    if parsed.tree is None:
        raise InputError(f"{row.place}: 'test' is not Python ({parsed.fault}): correct it")
    if "check" not in defined_names(parsed.tree):
        raise InputError(f"{row.place}: 'test' defines no function check(candidate): write one")
    task_id, solution = row.text("task_id"), row.text("canonical_solution")
    program = parse_source(prompt + solution)
    if program.tree is None:
        raise InputError(f"{row.place}: prompt and 'canonical_solution' are not Python ({program.fault}): correct them")
    if entry_point not in defined_names(program.tree):
        raise InputError(f"{row.place}: the prompt defines no 'entry_point' {entry_point!r}: name its function")
    return Problem(task_id, prompt, prompt, entry_point, tests, "", solution, task_id)


def unique(rows: Sequence[SuiteRow], build: Callable[[SuiteRow], Problem]) -> tuple[Problem, ...]:
    """The rows as problems, in their order.

    Raises: InputError where two have one task_id; what `build` raises.
    """
    problems: list[Problem] = []
    places: dict[str, str] = {}
    for row in rows:
        problem = build(row)
        if problem.task_id in places:
            first = places[problem.task_id]
            raise InputError(f"{row.place}: 'task_id' is {problem.task_id!r}, as at {first}: rename or remove one")
        places[problem.task_id] = row.place
        problems.append(problem)
    return tuple(problems)


def check_suite(suite: Suite, run: Callable[[Sequence[Problem]], Sequence[str]]) -> list[Fault]:
    """Run every problem's own solution and report those that do not pass.

    `run` executes the canonical programs, in a sandbox, and says one word or sentence a problem, in order: `passed`,
    or what happened instead.

    Raises: InputError where `run` says fewer or more than there are problems.
    """
    said = list(run(suite.problems))
    if len(said) != len(suite.problems):
        raise InputError(f"run returned {len(said)} outcomes for {len(suite.problems)} problems: one each is needed")
    return [
        Fault(problem.task_id, reason)
        for problem, reason in zip(suite.problems, said, strict=True)
        if reason != "passed"
    ]


def require_sound(suite: Suite, faults: Sequence[Fault]) -> None:
    """Raise DataQualityError that names the problems whose own solution fails, if there is any."""
    if faults:
        listed = "; ".join(f"{fault.task_id}: {fault.reason}" for fault in faults[:SHOWN_FAULTS])
        more = f"; and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
        raise DataQualityError(
            f"{suite.source}: the own solution of {len(faults)} of {len(suite.problems)} problems fails its tests "
            f"({listed}{more}): correct or remove them"
        )


def _mbpp(config: MbppConfig) -> Suite:
    rows = _rows(config.path, config.hub, config.revision, config.variant)
    problems = unique(rows, lambda row: mbpp_problem(row, config.variant))
    chosen = tuple(problem for problem in problems if config.split in (problem.split, "all"))
    if not chosen:
        raise InputError(f"{_source(config)}: no problem of split {config.split!r}: choose another")
    name = "mbpp" if config.variant == "full" else "mbpp_sanitized"
    examples = _examples(config, problems) if config.format == "base" else ()
    return Suite(name, f"{_source(config)}, {config.split}", chosen, examples)


def _examples(config: MbppConfig, problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The first `shots` of tasks 2, 3 and 4: those of the paper's prompt."""
    by_number = {problem.task_id.rpartition("/")[2]: problem for problem in problems}
    wanted = [str(number) for number in (2, 3, 4)][: config.shots]
    missing = [number for number in wanted if number not in by_number]
    if missing:
        raise InputError(f"{_source(config)}: no task {', '.join(missing)} for the few-shot prompt: set shots to 0")
    return tuple(by_number[number] for number in wanted)


def _rows(path: Path | None, hub: str | None, revision: str | None, subset: str | None) -> list[SuiteRow]:
    if path is None:
        return hub_rows(str(hub), revision, subset)
    return folder_rows(path, subset) if path.is_dir() else read_suite_rows(path)


def _source(config: HumanEvalConfig | MbppConfig | FileSuiteConfig) -> str:
    return str(config.path) if config.path else f"{config.hub}@{config.revision}"
