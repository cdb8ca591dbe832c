"""Programs executed plainly, tests and all in one process each: what the sandbox's verdicts are compared with.

A script: programs as JSON on standard input, verdicts as JSON on standard output. For programs that mean no harm.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import sys
from pathlib import Path

CPU_SECONDS = 2
MEMORY = 2**30


def main() -> None:
    programs = json.load(sys.stdin)
    sys.stdout.write(json.dumps([verdict(program) for program in programs]))


def verdict(program: dict[str, str]) -> str:
    """`passed`, `timed_out`, `memory`, `syntax_error`, or `failed`."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        os.write(writer, executed(program).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as file:
        said = file.read()
    _, status = os.waitpid(pid, 0)
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return "timed_out" if ended == signal.SIGXCPU else said or "failed"


def executed(program: dict[str, str]) -> str:
    try:
        code = compile(program["source"], "<program>", "exec")
    except (SyntaxError, ValueError):
        return "syntax_error"
    space: dict[str, object] = {"__name__": "candidate"}
    random.seed(0)
    try:
        with contextlib.redirect_stdout(None):
            exec(code, space)
            exec(compile(f"{program['setup']}\n{program['tests']}", "<tests>", "exec"), space)
            if "def check(" in program["tests"]:
                space["check"](space[program["entry_point"]])
    except MemoryError:
        return "memory"
    except BaseException:  # noqa: BLE001  # programs raise anything
        return "failed"
    return "passed"


if __name__ == "__main__":
    main()
