"""The pool: long-lived workers that are given programs one at a time, replaced where they die."""

from __future__ import annotations

import logging
import re
import selectors
import time
from collections import deque
from collections.abc import Mapping, Sequence

from polymlops.config.sandbox import SandboxLimits
from polymlops.errors import InputError, UsageError
from polymlops.evaluation.sandbox_process import Worker, numpy_packages
from polymlops.evaluation.sandbox_programs import Outcome, Program
from polymlops.evaluation.sandbox_wire import WireError

log = logging.getLogger(__name__)
ATTEMPTS = 2
MOST_CHARACTERS = 2**20  # of a program; more is no answer to any problem
NUMPY = re.compile(r"^\s*(?:import|from)\s+numpy\b", re.MULTILINE)
_named_layers: set[str] = set()  # missing layers that were logged: once a process, not once a worker


class SandboxPool:
    """Workers that live as long as the `with` block; started when first needed, those with numpy only where asked for.

    Not for several threads at once.
    """

    def __init__(self, limits: SandboxLimits | None = None) -> None:
        self._limits = limits if limits is not None else SandboxLimits()
        self._crews: dict[bool, Crew] = {}

    def __enter__(self) -> SandboxPool:
        return self

    def __exit__(self, *_: object) -> None:
        while self._crews:
            self._crews.popitem()[1].close()

    def run(self, programs: Sequence[Program]) -> list[Outcome]:
        """Outcomes of programs, in their order; identical ones run once unless the limits say otherwise.

        Raises:
            UsageError: a layer of isolation is missing and the limits require all.
            StageError: no worker starts.
            InputError: something else than a program was given.
        """
        for program in programs:
            if not isinstance(program, Program):
                raise InputError(f"a {type(program).__name__} was given to the sandbox: give a Program")
        keys = [program if self._limits.deduplicate else index for index, program in enumerate(programs)]
        firsts: dict[Program | int, int] = {}
        for index, key in enumerate(keys):
            firsts.setdefault(key, index)
        outcomes: dict[int, Outcome] = {}
        for numpy in (False, True):
            chosen = {index: programs[index] for index in firsts.values() if needs_numpy(programs[index]) is numpy}
            if chosen:
                outcomes |= self._crew(numpy=numpy).run(chosen)
        return [outcomes[firsts[key]] for key in keys]

    def _crew(self, *, numpy: bool) -> Crew:
        if numpy not in self._crews:
            self._crews[numpy] = Crew(self._limits, numpy_packages() if numpy else ())
        return self._crews[numpy]


class Crew:
    """Workers of one variant."""

    def __init__(self, limits: SandboxLimits, packages: tuple[str, ...]) -> None:
        self._limits = limits
        self._packages = packages
        self._idle: list[Worker] = []
        self._busy: dict[Worker, tuple[int, int]] = {}

    def run(self, programs: Mapping[int, Program]) -> dict[int, Outcome]:
        """Outcomes by the programs' numbers; a program whose worker dies gets another one, once."""
        outcomes = {index: too_large(program) for index, program in programs.items()}
        waiting = deque((index, 1) for index, outcome in outcomes.items() if outcome is None)
        found: dict[int, Outcome] = {index: outcome for index, outcome in outcomes.items() if outcome is not None}
        try:
            while waiting or self._busy:
                self._fill(len(waiting))
                while waiting and self._idle:
                    self._begin(self._idle.pop(), waiting.popleft(), programs)
                for worker in self._ready():
                    index, attempt = self._busy[worker]
                    outcome = self._collected(worker, attempt)
                    if outcome is None:
                        waiting.appendleft((index, attempt + 1))
                    else:
                        found[index] = outcome
        except BaseException:
            self.close()  # what is under way belongs to nobody any more
            raise
        return found

    def close(self) -> None:
        """End all workers."""
        for worker in (*self._idle, *self._busy):
            worker.close()
        self._idle.clear()
        self._busy.clear()

    def _fill(self, wanted: int) -> None:
        """Start as many workers as are allowed and needed; at the same time, since each takes a moment."""
        lacking = min(self._limits.workers - len(self._busy), wanted) - len(self._idle)
        started = [Worker(self._limits, self._packages) for _ in range(lacking)]
        self._idle += started
        for worker in started:
            worker.wait_until_ready()
            self._check_layers(worker.missing)

    def _check_layers(self, missing: tuple[str, ...]) -> None:
        if missing and self._limits.require_isolation:
            raise UsageError(
                f"the sandbox lacks a layer of isolation here: {', '.join(missing)}. Allow it to the process (user "
                "namespaces, Landlock, seccomp), or run without require_isolation"
            )
        for layer in missing:
            if layer not in _named_layers:
                _named_layers.add(layer)
                log.warning("sandbox without %s: this system does not offer it; the other layers hold", layer)

    def _begin(self, worker: Worker, job: tuple[int, int], programs: Mapping[int, Program]) -> None:
        self._busy[worker] = job
        worker.begin(programs[job[0]])

    def _ready(self) -> list[Worker]:
        """Busy workers that have something to say, are gone, or are overdue."""
        with selectors.DefaultSelector() as selector:
            for worker in self._busy:
                selector.register(worker.fileno(), selectors.EVENT_READ, worker)
            first = min(worker.deadline for worker in self._busy)
            ready = [key.data for key, _ in selector.select(max(0.0, first - time.monotonic()))]
        return ready or [worker for worker in self._busy if worker.deadline <= time.monotonic()]

    def _collected(self, worker: Worker, attempt: int) -> Outcome | None:
        """The worker's outcome, or of its end; None where the program should get another one."""
        del self._busy[worker]
        if worker.deadline <= time.monotonic():
            worker.close()
            return Outcome("timed_out", "wall clock of the judge", float("nan"), False)
        try:
            outcome = worker.outcome()
        except (EOFError, OSError, WireError, ValueError):
            worker.close()
            if attempt < ATTEMPTS:
                return None
            return Outcome("harness_error", f"{ATTEMPTS} workers died of it", float("nan"), False)
        self._idle.append(worker)
        return outcome


def too_large(program: Program) -> Outcome | None:
    """The outcome of a program that is no answer by its size alone, else None."""
    size = len(program.source)
    return Outcome("failed", f"{size} characters: not run", 0.0, False) if size > MOST_CHARACTERS else None


def needs_numpy(program: Program) -> bool:
    """Whether the program or its tests import numpy: such programs go to workers that have it."""
    return any(NUMPY.search(text) for text in (program.source, program.tests, program.setup))
