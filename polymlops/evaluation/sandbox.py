"""Untrusted programs, executed and judged: `run_programs(programs, limits) -> outcomes in order`.

How. A pool of long-lived workers, each started as a small clean interpreter and never forked from the caller. A worker
is two processes: the judge, which holds the tests, and the warden, which forks one child for every program. The
program's process gets its source and arguments; it never holds tests, expected values or a verdict. In the tests, the
program's names are calls that cross a pipe as plain data (`sandbox_wire`), and values are compared by the judge.

Contained, each by a test in `tests/evaluation/test_sandbox_attacks.py`:
- faked verdicts: early exits, printed words, values that equal everything, patched built-in functions, exceptions that
  end a loop of the test, code in returned values, messages that are none, frames and memory searched for answers;
- reading: no file but Python's library and shared libraries, no environment, no /proc, no memory of another process;
- writing: a private folder in memory, empty at the start, bounded, and emptied afterwards; nothing else;
- reaching: no network, no sockets, no signals to others, no other process, no other program, no privileges;
- exhausting: processor time, clock time, memory, files, threads, size of values; output is thrown away;
- surviving: whatever a program started is gone before its verdict is told.
By these layers, of which each alone stops most of it: namespaces (mount, pid, network, ipc) with a root folder of their
own, a user without rights, Landlock, two seccomp filters, rlimits. A layer that the system lacks is logged once, by its
name, and the others hold; `require_isolation` refuses instead.

Not contained:
- The kernel is shared. A hole in it is a hole here; for adversaries with one, run the whole thing in a virtual machine.
- Tests that hand the program something that is no plain data (a function) run in the program's process, and the outcome
  says `in_one_process`. An early exit or printed words do not pass there either, but a program that knows this harness
  and searches its own process for tests, expected values or the token can. Whether tests run so is decided by what
  *they* pass, never by what a program does.
- A program may answer by what it is asked: it sees the arguments of the tests, and up to 256 calls at once, as any
  function that is called can in the end. It may behave well only while it is tested.
- Objects that stay in the program's process answer for themselves when asked for an item, their length or truth; they
  have no operators here and equal nothing but themselves.
- Time and load: programs share processors and caches with each other and may measure them.
- Tests, setup and helpers are trusted. They run in the judge, which is isolated as well, but holds the tests.
- With layers missing: without the pid namespace *and* seccomp, a daemon may survive; without the mount namespace,
  files are kept away by Landlock alone; without both, by the rights of files alone.

Differences from plain execution in one process, all rare: a value nested deeper than 200, or larger than `output_kib`,
is a failure; an object of the program's own class equals no plain value (unless it extends a built-in container or
number, whose content crosses); two names for one inner list are two lists on the other side; unordered collections may
be ordered otherwise; a function of the program that has the name of a built-in one is not used by the tests' own
calls, unless it is the entry point. Draws from `random` are seeded, and strings hash alike, so that a run has the same
outcome every time.
"""

from __future__ import annotations

from collections.abc import Sequence

from polymlops.config.sandbox import SandboxLimits
from polymlops.evaluation.sandbox_pool import SandboxPool
from polymlops.evaluation.sandbox_programs import VERDICTS, Judgement, Outcome, Program

__all__ = ["VERDICTS", "Judgement", "Outcome", "Program", "SandboxLimits", "SandboxPool", "run_programs"]


def run_programs(programs: Sequence[Program], limits: SandboxLimits | None = None) -> list[Outcome]:
    """Execute programs and judge them; outcomes are in order, and identical programs run once.

    Starting workers takes a fraction of a second: who calls often keeps a `SandboxPool`.

    Raises:
        UsageError: a layer of isolation is missing and the limits require all.
        StageError: no worker starts.
        InputError: something else than a program was given.
    """
    with SandboxPool(limits) as pool:
        return pool.run(programs)
