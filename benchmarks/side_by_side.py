"""Contestants timed in turns in one process, after they were found to agree, and the table that comes of it."""

from __future__ import annotations

import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

RESULTS = Path(__file__).with_name("RESULTS.md")
HEADER = (
    "| task | peer | peer, ms | ours, ms | ratio | target | largest difference |",
    "|---|---|---:|---:|---:|---:|---:|",
)


def largest_difference(ours: Any, theirs: Any) -> float:
    """Largest absolute difference of two results of one shape."""
    return max(float(np.abs(np.subtract(a, b)).max()) for a, b in zip(ours, theirs, strict=True))


@dataclass(frozen=True)
class Peer:
    """A competitor: `build` imports it and returns the call to time. `target` is the ratio that we promise."""

    name: str
    build: Callable[[], Callable[[], Any]]
    target: float | None = None
    difference: Callable[[Any, Any], float] = largest_difference
    tolerance: float = 1e-9


@dataclass(frozen=True)
class Race:
    """One task, our call, and its peers; the median of `rounds` counts."""

    task: str
    ours: Callable[[], Any]
    peers: Sequence[Peer]
    rounds: int = 5


@contextmanager
def one_core() -> Iterator[None]:
    """Hold the process, and whatever threads its libraries start, to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peers reach for deprecated names
            yield
    finally:
        os.sched_setaffinity(0, before)


def rows_of(race: Race) -> Iterator[str]:
    """Check that each peer agrees, then time all in turn; yields one table row a peer, printed as well.

    Raises: AssertionError where a peer and we disagree. A peer that is not installed is a row that says so.
    """
    calls, differences, result = {"ours": race.ours}, {}, race.ours()
    for peer in race.peers:
        try:
            calls[peer.name] = peer.build()
        except ImportError as error:
            yield _shown(f"| {race.task} | {peer.name} | not installed ({error.name}) | | | | |")
            continue
        differences[peer.name] = peer.difference(result, calls[peer.name]())
        if not differences[peer.name] <= peer.tolerance:
            raise AssertionError(f"{race.task}: {peer.name} differs from ours by {differences[peer.name]}")
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(race.rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    ours = statistics.median(times["ours"])
    for peer in race.peers:
        if peer.name in calls:
            theirs = statistics.median(times[peer.name])
            yield _shown(f"| {race.task} | {_cells(peer, theirs, ours)} | {differences[peer.name]:.1e} |")


def seconds(call: Callable[[], Any], at_least: float = 0.05) -> float:
    """Mean seconds of a call, repeated until the clock has something to show."""
    start, calls = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < at_least or calls == 0:
        call()
        calls += 1
    return elapsed / calls


def machine() -> str:
    """Processor and versions, for the line above a table."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = models[0].partition(":")[2].strip() if models else platform.processor()
    return f"{processor}, one core, Python {platform.python_version()}, numpy {np.__version__}"


def write_section(name: str, lines: Iterable[str]) -> None:
    """Put the lines between the section's markers in RESULTS.md; other sections stay as they are."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = RESULTS.read_text() if RESULTS.exists() else "# Benchmark results\n"
    before, _, rest = text.partition(start)
    after = rest.partition(end)[2] if rest else "\n"
    body = "\n".join(lines)
    RESULTS.write_text(f"{before.rstrip()}\n\n{start}\n{body}\n{end}{after}")


def _cells(peer: Peer, theirs: float, ours: float) -> str:
    ratio = theirs / ours
    target = "" if peer.target is None else f"{peer.target:g}, {'met' if ratio >= peer.target else '**missed**'}"
    return f"{peer.name} | {1e3 * theirs:,.4g} | {1e3 * ours:,.4g} | {ratio:,.3g} | {target}"


def _shown(row: str) -> str:
    print(row, flush=True)
    return row
