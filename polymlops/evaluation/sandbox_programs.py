"""What goes into the sandbox and what comes out of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Judgement = Literal["passed", "failed", "timed_out", "memory", "syntax_error", "blocked", "harness_error"]
VERDICTS: tuple[Judgement, ...] = get_args(Judgement)


@dataclass(frozen=True, slots=True)
class Program:
    """One untrusted program and the tests that it must pass.

    source       the whole program: prompt and completion
    tests        trusted: a function `check(candidate)` (HumanEval), or statements that name the program's functions
                 (MBPP); empty where it is enough that the program runs to its end
    entry_point  the function that `check` gets; where it is given, a program without it fails
    setup        trusted: runs before the tests, beside them (MBPP's `test_setup_code`)
    helpers      trusted: where the tests use a name that is defined here, they get it from here, not from the program
                 (HumanEval's prompt, whose helper functions three problems call in their tests)
    """

    source: str
    tests: str
    entry_point: str | None = None
    setup: str = ""
    helpers: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one program.

    verdict         `failed` is an assertion, an exception or an early exit; `blocked` that the sandbox refused it
                    something; `harness_error` that nothing is known, through no fault of the program
    reason          one short line: exception class and text, a clock, a signal; empty where it passed
    cpu_seconds     processor time of the program's process; NaN where there was none
    in_one_process  the tests ran beside the program: see what that means in `polymlops.evaluation.sandbox`
    """

    verdict: Judgement
    reason: str
    cpu_seconds: float
    in_one_process: bool

    @property
    def passed_or_nan(self) -> float:
        """1 where it passed, 0 where the program is at fault, NaN where nothing is known."""
        return math.nan if self.verdict == "harness_error" else float(self.verdict == "passed")
