"""A seeded series of SIGKILLs at points of a roadmap, with an operator who starts again what died.

Victims are processes of a real installation (tests/stack.py). Afterwards nothing may be lost or doubled: see books.py.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
import psycopg
from books import Book, Run
from compose_file import SECRETS
from processes import Shell, Started
from stack import Stack

from flows.environment import QUIET

SERVERS = ("prefect-server", "mlflow", "postgres")
FLOW, STOP = "flow", "flow, by SIGTERM"
POOLS = ("gpu", "cpu")
WORKERS = tuple(f"worker {pool}" for pool in POOLS)  # each with the flow runs that it has begun
AWAY = "mlflow, for 60 s"
AWAY_S = 60.0
PATIENCE_S = 1200.0  # for one step of a roadmap, where other work shares the cores
LONGEST_DELAY_S = 4.0
STOP_S = 120.0  # promised within 30, on a machine that is not overloaded
STOPPED = 130
AT_WORK = (": begins", ": cached", ": waits for pool")  # what a run says once it has come to its stages


@dataclass(frozen=True, slots=True)
class Blow:
    """Kill a victim some time after a stage has begun, or has finished."""

    victim: str
    title: str
    after: str  # RUNNING or FINISHED
    delay_s: float

    def __str__(self) -> str:
        return f"{self.victim}, {self.delay_s:.1f} s after {self.title} is {self.after}"


def draw_blows(seed: int, kills: int, titles: Sequence[str], victims: Sequence[str]) -> list[Blow]:
    """Blows in the order of the stages; every victim comes as often as another, give or take one."""
    rng = random.Random(seed)
    places = sorted(rng.sample(range(2 * len(titles)), kills))
    chosen = [victims[index % len(victims)] for index in range(kills)]
    rng.shuffle(chosen)
    return [
        Blow(victim, titles[place // 2], ("RUNNING", "FINISHED")[place % 2], rng.uniform(0, LONGEST_DELAY_S))
        for place, victim in zip(places, chosen, strict=True)
    ]


@dataclass
class Campaign:
    """One roadmap under blows: `command` are the arguments of the command line, `say` hears what happens.

    With `pools` its stages are done by a worker for each of them.
    """

    stack: Stack
    shell: Shell
    book: Book
    command: Sequence[str]
    say: Callable[[str], None] = print
    pools: Sequence[str] = ()
    workers: dict[str, Started] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    flow: Started | None = None
    finished: dict[tuple[str, str], str] = field(default_factory=dict)  # by title and key: phases share titles

    @property
    def environment(self) -> dict[str, str]:
        """Of a client of the stack."""
        return {
            "PREFECT_API_URL": f"http://{self.stack.address}:4200/api",
            "PREFECT_API_AUTH_STRING": SECRETS["PREFECT_AUTH"],
            "PREFECT_HOME": str(self.shell.folder / "home"),
            "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
            "MLFLOW_TRACKING_USERNAME": "worker",
            "MLFLOW_TRACKING_PASSWORD": SECRETS["MLFLOW_WORKER_PASSWORD"],
            "NO_PROXY": self.stack.address,
        }

    def deploy(self) -> None:
        """What workers need on the Prefect server."""
        environment = self.environment | {"MLFLOW_TRACKING_URI": f"http://{self.stack.address}:5000"}
        code, done = self.shell.run("deploy", **environment)
        assert code == 0, done.err

    def run(self, blows: Sequence[Blow]) -> list[str]:
        """The roadmap to its end, through all blows; what went wrong, as sentences."""
        for blow in blows:
            self._until(lambda blow=blow: self._is_time(blow))
            time.sleep(blow.delay_s)
            if blow.victim in {FLOW, STOP}:
                self._until(self._is_at_work)
            self.say(f"kill {blow}; {len(self.finished)} stages are finished")
            self._strike(blow)
            self._note_finished()
        self._until(self._is_done)
        self._note_finished()
        for worker in self.workers.values():
            worker.kill_all()
        return self.wrong

    def _is_time(self, blow: Blow) -> bool:
        return any(run.name == blow.title and run.status in {blow.after, "FINISHED"} for run in self._runs())

    def _is_at_work(self) -> bool:
        """The command runs and has come to its stages: after a blow it has to be started again first."""
        if self.flow is None or self.flow.process.poll() is not None:
            return self._is_done()
        return any(sign in self.flow.err for sign in AT_WORK)

    def _is_done(self) -> bool:
        return self.flow is not None and self.flow.process.poll() == 0

    def _until(self, condition: Callable[[], bool]) -> None:
        """Wait, and meanwhile start again whatever is not running, as an operator does."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"nothing more happens:\n{self.flow.err if self.flow else ''}"
            self._tend()
            time.sleep(0.1)

    def _tend(self) -> None:
        for name in self.stack.fallen():
            self.say(f"  {name} had ended by itself and is started again")
            self.stack.up(name)
        for pool in self.pools:
            if pool not in self.workers or self.workers[pool].process.poll() is not None:
                self.workers[pool] = self._worker(pool)
        if self.flow is not None and self.flow.process.poll() not in {None, 0}:
            last = self.flow.err.splitlines()[-2:]
            self.say(f"  the run ended with {self.flow.process.returncode}: {' | '.join(last)[:300]}")
            self.flow = None
        if self.flow is None:
            self.flow = self.shell.polymlops("run", *self.command, **self.environment)

    def _worker(self, pool: str) -> Started:
        place = {"POLYMLOPS_WORKDIR": str(self.shell.folder / pool), "PREFECT_WORKER_QUERY_SECONDS": "2"}
        place |= {"PREFECT_HOME": str(self.shell.folder / f"home-{pool}")}
        command = (sys.executable, "-m", "prefect", "worker", "start", "--pool", pool)
        return self.shell.start(*command, **QUIET | self.environment | place)

    def _strike(self, blow: Blow) -> None:
        if blow.victim == FLOW and self.flow is not None:
            self.flow.kill()
        elif blow.victim == STOP and self.flow is not None:
            self._stop(self.flow)
        elif blow.victim in WORKERS:
            self.workers[blow.victim.split()[1]].kill_all()
        else:
            service = blow.victim.split(",")[0]
            self.stack.kill(service)
            time.sleep(AWAY_S if blow.victim == AWAY else 0)
            self.stack.up(service)

    def _stop(self, flow: Started) -> None:
        began = time.monotonic()
        code = flow.kill(signal.SIGTERM)
        seconds = time.monotonic() - began
        self.say(f"  exit {code} after {seconds:.1f} s")
        if code not in {STOPPED, 0} or seconds > STOP_S:
            self.wrong.append(f"SIGTERM: exit {code} after {seconds:.1f} s")
        here = [run for run in self._runs() if run.key is None or not self.pools]  # a worker goes on with its stage
        running = [run.name for run in here if run.status == "RUNNING"]
        if running:
            self.wrong.append(f"SIGTERM left {', '.join(running)} RUNNING")

    def _note_finished(self) -> None:
        """A stage that was finished keeps its run."""
        now = {(run.name, run.key): run.run_id for run in self._runs() if run.key and run.status == "FINISHED"}
        for stage, run_id in self.finished.items():
            if now.get(stage) != run_id:
                self.wrong.append(f"{stage[0]} was finished as {run_id} and is now {now.get(stage)}")
        self.finished = now

    def _runs(self) -> list[Run]:
        try:
            return self.book.runs()
        except psycopg.Error:  # the database is down, or starts
            return []


def forget(stack: Stack, name: str) -> None:
    """Delete an experiment, so that the next campaign finds nothing done."""
    api, login = f"http://{stack.address}:5000/api/2.0/mlflow/experiments", ("admin", SECRETS["MLFLOW_ADMIN_PASSWORD"])
    with httpx.Client(auth=login, trust_env=False, timeout=60) as web:
        found = web.get(f"{api}/get-by-name", params={"experiment_name": name}).json()["experiment"]
        web.post(f"{api}/delete", json={"experiment_id": found["experiment_id"]}).raise_for_status()
