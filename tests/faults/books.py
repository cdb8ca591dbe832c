"""What a tracking store holds about one experiment, read from its database; and what two stores must agree on."""

from __future__ import annotations

import io
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from compose_file import SECRETS
from stack import Stack

Rows = list[tuple[Any, ...]]
# Work whose files are the same whoever does it; reports also tell time and cost.
REPEATABLE = ("prepare", "build", "train", "sample", "score", "make", "analyse_adapters")
NUMBERS = "novel_metrics.json"  # of `measure`, whose other files tell time and cost
CLOCK = "cpu_seconds"  # of a program that was executed
RUNS = """
select r.name, r.run_uuid, r.status,
  (select value from tags t where t.run_uuid = r.run_uuid and t.key = 'stage_key'),
  (select value from tags t where t.run_uuid = r.run_uuid and t.key = 'digest')
from runs r join experiments e on e.experiment_id = r.experiment_id
where e.name = '{experiment}' and r.lifecycle_stage = 'active' order by r.start_time
"""
STEPS = """
select m.run_uuid, m.key, m.step, count(*) from metrics m join runs r on r.run_uuid = m.run_uuid
join experiments e on e.experiment_id = r.experiment_id where e.name = '{experiment}'
group by m.run_uuid, m.key, m.step
"""
LOSSES = """
select r.run_uuid, m.key, m.step, m.value from metrics m join runs r on r.run_uuid = m.run_uuid
join experiments e on e.experiment_id = r.experiment_id
where e.name = '{experiment}' and m.key like 'train/%' order by m.key, m.step
"""
VERSIONS = """
select v.name, t.value from model_versions v
join model_version_tags t on t.name = v.name and t.version = v.version and t.key = 'registration_key'
where v.current_stage != 'Deleted_Internal' and v.name like 'polymlops-{experiment}-%'
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A row of MLflow's runs."""

    name: str
    run_id: str
    status: str
    key: str | None
    digest: str | None


@dataclass(frozen=True)
class Book:
    """One experiment of a store: `fetch` asks its database, `artifacts` is where its files lie."""

    fetch: Callable[[str], Rows]
    artifacts: Path
    experiment: str

    def runs(self) -> list[Run]:
        """Every run, oldest first."""
        return [Run(*row) for row in self.ask(RUNS)]

    def ask(self, query: str) -> Rows:
        """Answer to a query about the experiment."""
        return self.fetch(query.format(experiment=self.experiment))

    def finished(self) -> dict[str, str]:
        """Run ids of the finished stages, by title; the newest of each."""
        return {run.name: run.run_id for run in self.runs() if run.key and run.status == "FINISHED"}

    def files(self, run_id: str) -> dict[str, bytes]:
        """A stage's artifact."""
        (folder,) = self.artifacts.glob(f"*/{run_id}/artifacts/output")
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def local_book(output_dir: Path, experiment: str) -> Book:
    """The book of an output folder."""

    def fetch(query: str) -> Rows:
        with closing(sqlite3.connect(output_dir / "mlflow.db")) as database:
            return database.execute(query).fetchall()

    return Book(fetch, output_dir / "artifacts", experiment)


def server_book(stack: Stack, experiment: str) -> Book:
    """The book of a stack's MLflow server, read from Postgres while that is up."""

    def fetch(query: str) -> Rows:
        import psycopg

        login = {"host": stack.address, "user": "mlflow", "dbname": "mlflow", "password": SECRETS["MLFLOW_DB_PASSWORD"]}
        with psycopg.connect(**login, connect_timeout=10) as connection:
            return connection.execute(query.replace("%", "%%")).fetchall()

    return Book(fetch, stack.root / "mlflow" / "artifacts", experiment)


def faults(book: Book, undisturbed: Book) -> list[str]:
    """What was lost or doubled, as sentences; none where all is as it should be."""
    return [*_doubled(book), *_left_open(book), *_different(book, undisturbed)]


def _doubled(book: Book) -> list[str]:
    keys = Counter((run.name, run.key) for run in book.runs() if run.key and run.status == "FINISHED")
    arms = Counter(run.name for run in book.runs() if run.key is None)
    found = [f"{name}: {count} finished runs of one key" for (name, _), count in keys.items() if count > 1]
    found += [f"{name}: {count} runs of one name" for name, count in arms.items() if count > 1]
    found += [
        f"run {run_id}: {key} has {count} values at step {step}"
        for run_id, key, step, count in book.ask(STEPS)
        if count > 1
    ]
    found += [f"{name}: {count} versions of one key" for (name, _), count in versions(book).items() if count > 1]
    return found


def versions(book: Book) -> Counter[tuple[str, str]]:
    """Registered versions, by name and key of their registration."""
    return Counter((name, key) for name, key in book.ask(VERSIONS))


def _left_open(book: Book) -> list[str]:
    return [f"{run.name} ({run.run_id}) is {run.status}" for run in book.runs() if run.status == "RUNNING"]


def _different(book: Book, undisturbed: Book) -> list[str]:
    ours, theirs = book.finished(), undisturbed.finished()
    found = [f"{title}: not finished" for title in theirs.keys() - ours.keys()]
    mine, other = _losses(book), _losses(undisturbed)
    found += [
        f"{title}: another history of training"
        for title in sorted(ours.keys() & theirs.keys())
        if mine.get(ours[title]) != other.get(theirs[title])
    ]
    for title in sorted(ours.keys() & theirs.keys()):
        found += different_files(title, book.files(ours[title]), undisturbed.files(theirs[title]))
    mine, other = (
        sorted(name.removeprefix(f"polymlops-{each.experiment}-") for name, _ in versions(each))
        for each in (book, undisturbed)
    )
    return found if mine == other else [*found, f"registered {mine}, undisturbed {other}"]


def _losses(book: Book) -> dict[str, Rows]:
    histories: dict[str, Rows] = {}
    for run_id, *point in book.ask(LOSSES):
        histories.setdefault(run_id, []).append(tuple(point))
    return histories


def different_files(title: str, ours: dict[str, bytes], theirs: dict[str, bytes]) -> list[str]:
    """What differs in the files of a stage that must agree, as sentences."""
    compared = {NUMBERS} if title.startswith("measure") else ours.keys() | theirs.keys()
    if not title.startswith(("measure", *REPEATABLE)):
        compared = set()
    found = [f"{title}: {name} repeats rows" for name, content in ours.items() if _repeats(name, content)]
    return found + [f"{title}: {name} differs" for name in sorted(compared) if not _same(name, ours, theirs)]


def _same(name: str, ours: dict[str, bytes], theirs: dict[str, bytes]) -> bool:
    """Byte for byte, but for the column that a clock decides."""
    mine, other = ours.get(name), theirs.get(name)
    if mine == other or mine is None or other is None or not name.endswith(".parquet"):
        return mine == other
    left, right = (pl.read_parquet(io.BytesIO(content)).drop(CLOCK, strict=False) for content in (mine, other))
    return left.equals(right)


def _repeats(name: str, content: bytes) -> bool:
    if not name.endswith(".parquet"):
        return False
    frame = pl.read_parquet(io.BytesIO(content))
    key = [column for column in ("prompt_id", "sample_id") if column in frame.columns]
    return len(key) == 2 and frame.select(key).is_duplicated().any()
