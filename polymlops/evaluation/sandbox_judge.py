"""The judge of one sample: runs the tests in its own process, where the program's names are calls across a pipe.

Passed means that the tests ran to their end here, with plain values that were compared here, and that the program's
process was there to the last. There is no message by which a program could say so itself. The exception is a program
whose tests hand it something that is no plain data, a function for instance: they run in its process, and the outcome
is marked; the judge then believes a token that is sent along with the tests and comes back after the last of them.
"""

from __future__ import annotations

import builtins
import os
import random
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from polymlops.evaluation.sandbox_foresight import Foresight, Script
from polymlops.evaluation.sandbox_isolation import SampleLimits
from polymlops.evaluation.sandbox_replies import ForesightError, SampleGoneError, UnsplittableError
from polymlops.evaluation.sandbox_session import Session
from polymlops.evaluation.sandbox_tests import BrokenTestsError, compiled, compiled_helpers
from polymlops.evaluation.sandbox_warden import Ending, ended, started

ATTEMPTS = 3  # with foresight, without, and in one process
TEXT = 300  # characters of a reason
KINDS = {"MemoryError": "memory", "PermissionError": "blocked", "ProgramSyntaxError": "syntax_error"}
SIGNAL_NAMES: dict[int, str] = {known.value: known.name for known in signal.Signals}  # real-time ones have none
SIGNALS: dict[int, str] = {signal.SIGSYS: "blocked", signal.SIGXCPU: "timed_out"}


class TestsTimeoutError(BaseException):
    """The tests themselves used up their processor time on what the program returned."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the judge gets of a program; see `polymlops.evaluation.sandbox_programs.Program`."""

    source: str
    tests: str
    entry_point: str | None
    helpers: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a task."""

    verdict: str
    reason: str
    cpu_seconds: float
    in_one_process: bool


class Judge:
    """Judges programs one after another."""

    def __init__(self, control: socket.socket, limits: SampleLimits) -> None:
        self._control = control
        self._limits = limits
        self._foresight = Foresight()
        signal.signal(signal.SIGPROF, expire)

    def judged(self, task: Task) -> Verdict:
        """Judge a program: split where its tests allow it, with foresight where they call as they did before.

        Raises: EOFError where the warden is gone.
        """
        script, together = self._foresight.script(task.tests), False
        try:
            for _ in range(ATTEMPTS):
                found = self._attempt(task, script, together=together)
                if isinstance(found, Verdict):
                    return found
                script, together = Script(), isinstance(found, UnsplittableError)
        except BrokenTestsError as error:
            return Verdict("harness_error", str(error)[:TEXT], 0.0, False)
        return Verdict("harness_error", "the tests could be run neither here nor there", 0.0, True)

    def _attempt(self, task: Task, script: Script, *, together: bool) -> Verdict | BaseException:
        """One run; or why there has to be another: the tests need the program's process, or called unforeseen."""
        compiled(task.tests)
        channel = started(self._control)
        try:
            session = Session(channel, self._limits.output_kib * 1024, script)
            error = _error_of(task, session, self._limits, together=together)
            ending = ended(self._control)
        finally:
            os.close(channel)
        if isinstance(session.fault, (UnsplittableError, ForesightError)):
            return session.fault
        if isinstance(error, BrokenTestsError):
            raise error
        verdict, reason = _verdict(session.fault or error, ending)
        return Verdict(verdict, reason, ending.cpu_seconds, together)


def _error_of(task: Task, session: Session, limits: SampleLimits, *, together: bool) -> BaseException | None:
    """What the tests raised, or None where they ran to their end."""
    try:
        with _clock(limits.cpu_seconds):
            _run_together(task, session) if together else _run_split(task, session)
    except BaseException as error:  # noqa: BLE001  # tests raise anything, and so does a program through them
        return error
    return None


def _run_split(task: Task, session: Session) -> None:
    tests = compiled(task.tests)
    random.seed(0)  # tests that draw arguments draw the same ones for every sample
    space: dict[str, Any] = {"__name__": "tests", "__builtins__": dict(vars(builtins))}
    helpers = _helpers(task, tests.foreign)
    wanted = {*tests.foreign, *filter(None, [task.entry_point])} - (helpers.keys() - {task.entry_point})
    theirs = session.load(task.source, tuple(sorted(wanted)))
    space |= helpers | {name: theirs[name] for name in wanted if name in theirs}
    space |= {name: __import__(name) for name in tests.modules}
    if task.entry_point is not None and task.entry_point not in theirs:
        raise NameError(f"the program defines no {task.entry_point}")
    exec(tests.code, space)
    if task.entry_point is not None and tests.has_check:
        space["check"](space[task.entry_point])


def _helpers(task: Task, foreign: tuple[str, ...]) -> dict[str, Any]:
    """Names that the tests use and the trusted code beside them defines, from that code and not from the program."""
    if not task.helpers or not set(foreign) - {task.entry_point}:
        return {}
    space: dict[str, Any] = {"__name__": "helpers"}
    try:
        exec(compiled_helpers(task.helpers), space)
    except Exception as error:
        raise BrokenTestsError(f"the code beside the tests: {type(error).__name__}: {error}") from error
    return {name: space[name] for name in foreign if name in space and name != task.entry_point}


def _run_together(task: Task, session: Session) -> None:
    token = os.urandom(16).hex()
    session.load(task.source, ())
    checked = task.entry_point if compiled(task.tests).has_check else None
    if session.ask("together", task.tests, checked, token)[1] != token:
        raise SampleGoneError("the tests did not run to their end")


def _verdict(error: BaseException | None, ending: Ending) -> tuple[str, str]:
    if error is None:
        return "passed", ""
    if isinstance(error, TestsTimeoutError):
        return "timed_out", "the tests, on what the program returned"
    if isinstance(error, SampleGoneError):
        return _gone(str(error), ending)
    notes = getattr(error, "__notes__", [])
    name = notes[0] if notes else type(error).__name__
    return KINDS.get(name, "failed"), printable(f"{name}: {error}".rstrip(": "))


def _gone(text: str, ending: Ending) -> tuple[str, str]:
    if ending.limit:
        return "timed_out", f"{ending.limit} clock"
    if ending.signal == signal.SIGKILL and text != "exited":
        return "failed", printable(text)  # the warden's own, after an answer that was none
    if ending.signal:
        return SIGNALS.get(ending.signal, "failed"), f"died of {SIGNAL_NAMES.get(ending.signal, ending.signal)}"
    return "failed", printable(text if text != "exited" else f"exited with status {ending.status} instead of answering")


def printable(text: str) -> str:
    """A text of one line, capped, fit for a file."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:TEXT]).strip()


def expire(_: int, __: object) -> None:
    """What the clock does, as a signal's handler."""
    raise TestsTimeoutError


@contextmanager
def _clock(seconds: float) -> Iterator[None]:
    """Raise TestsTimeoutError in the block where this process uses more processor time than that."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
