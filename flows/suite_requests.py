"""From the options about a suite to the suite, checked where asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from polymlops.config.sandbox import SandboxLimits
from polymlops.config.suites import FileSuiteConfig, HumanEvalConfig, MbppConfig, SuiteConfig, WorldSuiteConfig
from polymlops.errors import DataQualityError, InputError

if TYPE_CHECKING:
    from polymlops.data.suite_problems import Suite


def suite_config(name: str | None, file: str | None) -> SuiteConfig:
    """The suite that `--suite` and `--suite-file` name; of MBPP every split.

    Raises: InputError where the two do not go together.
    """
    path = Path(file) if file else None
    match name:
        case "humaneval":
            return HumanEvalConfig(path=path)
        case "mbpp":
            return MbppConfig(path=path, split="all")
        case "mbpp_sanitized":
            return MbppConfig(variant="sanitized", path=path, split="all")
        case "world" if path is not None:
            raise InputError("--suite world has no file: leave --suite-file out, or name another suite")
        case "world":
            return WorldSuiteConfig()
        case _ if path is None:
            raise InputError("--suite file needs --suite-file PATH: problems in HumanEval's schema")
        case _:
            return FileSuiteConfig(path=path)


def check(suite: Suite, limits: SandboxLimits) -> None:
    """Run every problem's own solution.

    Raises: InputError that names the problems whose solution fails.
    """
    from polymlops.data.suites import check_suite, require_sound
    from polymlops.evaluation.problem_programs import solution_runner

    try:
        require_sound(suite, check_suite(suite, solution_runner(limits)))
    except DataQualityError as error:  # here the file was given, and is at fault
        raise InputError(str(error)) from None
