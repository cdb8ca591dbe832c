"""Verdicts and spending in one SQLite file: written as they come, safe against kills, shared by several processes.

Every answer is kept by the content of its question, so that a run asks only what is missing. Before a call its
worst-case cost is taken from the budget in one atomic statement and afterwards what it did not use is given back; a
call that was killed has its worst case counted. A question under way is claimed, so that two processes do not ask it
both. The file must lie on a local disk: SQLite's write-ahead log does not work over a network.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from polymlops.errors import InputError, StageError
from polymlops.evaluation.judge_records import Answer

VERSION = 1
PATIENCE = 60.0  # seconds to wait for another process's write
PICO = 10**12  # money is counted in whole picodollars: a millionth of a dollar per million tokens is one a token
MOST_PICO = 2**62  # SQLite's whole numbers have 63 bits
SCHEMA = """
create table if not exists verdicts (
    key text primary key, judge text not null, outcome text not null, answer text, reason text not null,
    input_tokens integer, output_tokens integer, dollars real, stored_at real not null
) without rowid;
create table if not exists spending (judge text primary key, calls integer not null, pico integer not null);
create table if not exists claims (key text primary key, owner text not null, until real not null) without rowid;
"""
SPEND = """
update spending set calls = calls + 1, pico = pico + :pico
where judge = :judge and (:most_calls is null or calls + 1 <= :most_calls)
  and (:most_pico is null or pico + :pico <= :most_pico)
"""


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a judge may spend over the life of the store; None is no limit."""

    calls: int | None = None
    dollars: float | None = None


@dataclass(frozen=True, slots=True)
class Spending:
    """What a judge has spent over the life of the store; calls whose cost never became known at their worst case."""

    calls: int
    dollars: float


class VerdictStore:
    """A store of verdicts; use it as a context. Every method may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = f"{secrets.token_hex(4)}@{socket.gethostname()}:{os.getpid()}"
        self._lock = threading.Lock()
        self._database = _open(path)

    def __enter__(self) -> VerdictStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._transaction() as database:
            database.execute("delete from claims where owner = ?", [self.owner])
        self._database.close()

    def answer(self, key: str) -> Answer | None:
        """The stored answer to a question, marked as cached, or None."""
        query = "select outcome, answer, reason, input_tokens, output_tokens, dollars from verdicts where key = ?"
        with self._lock:
            row = self._database.execute(query, [key]).fetchone()
        if row is None:
            return None
        outcome, values, reason, input_tokens, output_tokens, dollars = row
        parsed = None if values is None else json.loads(values)
        cost = float("nan") if dollars is None else dollars
        return Answer(outcome, parsed, reason, input_tokens, output_tokens, cost, cached=True)

    def claim(self, key: str, seconds: float) -> bool:
        """Take a question for this process; False where a living process has it. A claim lapses after `seconds`."""
        now = time.time()
        with self._transaction() as database:
            row = database.execute("select owner, until from claims where key = ?", [key]).fetchone()
            if row is not None and row[0] != self.owner and row[1] > now and _may_live(row[0]):
                return False
            database.execute("insert or replace into claims values (?, ?, ?)", [key, self.owner, now + seconds])
            return True

    def renew(self, seconds: float) -> None:
        """Let every claim of this store's owner hold for so long from now."""
        with self._transaction() as database:
            database.execute("update claims set until = ? where owner = ?", [time.time() + seconds, self.owner])

    def release(self, key: str) -> None:
        """Give a claim up, so that another process may ask."""
        with self._transaction() as database:
            database.execute("delete from claims where key = ? and owner = ?", [key, self.owner])

    def record(self, key: str, judge: str, answer: Answer) -> None:
        """Keep an answer, the first one for its key."""
        values = None if answer.values is None else json.dumps(dict(answer.values))
        dollars = None if answer.dollars != answer.dollars else answer.dollars
        row = [key, judge, answer.outcome, values, answer.reason, answer.input_tokens, answer.output_tokens, dollars]
        with self._transaction() as database:
            places = ", ".join("?" * (len(row) + 1))
            database.execute(f"insert or ignore into verdicts values ({places})", [*row, time.time()])

    def forget_unscored(self) -> int:
        """Delete the answers that have no scores, so that they are asked again; returns how many there were."""
        with self._transaction() as database:
            return database.execute("delete from verdicts where outcome <> 'scored'").rowcount

    def reserve(self, judge: str, pico: int, budget: Budget) -> bool:
        """Count a call and its worst-case cost; False, and nothing is counted, where that would pass the budget."""
        most = None if budget.dollars is None else min(round(budget.dollars * PICO), MOST_PICO)
        values = {"judge": judge, "pico": pico, "most_calls": budget.calls, "most_pico": most}
        with self._transaction() as database:
            database.execute("insert or ignore into spending values (?, 0, 0)", [judge])
            return database.execute(SPEND, values).rowcount == 1

    def settle(self, judge: str, pico: int, calls: int = 0) -> None:
        """Correct what was reserved by the difference to what came of it, in picodollars and calls."""
        with self._transaction() as database:
            query = "update spending set pico = pico + ?, calls = calls + ? where judge = ?"
            database.execute(query, [pico, calls, judge])

    def spending(self, judge: str) -> Spending:
        """What a judge has spent so far."""
        with self._lock:
            row = self._database.execute("select calls, pico from spending where judge = ?", [judge]).fetchone()
        return Spending(row[0], row[1] / PICO) if row else Spending(0, 0.0)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute("begin immediate")
                yield self._database
                self._database.execute("commit")
            except sqlite3.Error as error:
                raise StageError(f"{self.path}: the store of verdicts did not take a write ({error})") from error
            finally:
                if self._database.in_transaction:
                    self._database.execute("rollback")


def _open(path: Path) -> sqlite3.Connection:
    """Open or create the file.

    Raises:
        InputError: it cannot be opened, is no SQLite file, or was made by another version.
    """
    try:
        database = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise InputError(f"{path}: the store of verdicts cannot be opened ({error}); name a file that can") from error
    try:
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = full")  # a verdict is paid for: it outlives a power cut too
        with closing(database.execute("pragma user_version")) as found:
            version = found.fetchone()[0]
        if version not in (0, VERSION):
            raise InputError(f"{path}: a store of version {version}, not {VERSION}; name another file")
        database.executescript(f"begin immediate; {SCHEMA} pragma user_version = {VERSION}; commit;")
    except sqlite3.Error as error:
        database.close()
        raise InputError(f"{path}: not a store of verdicts ({error}); name another file") from error
    except InputError:
        database.close()
        raise
    return database


def _may_live(owner: str) -> bool:
    """False where the owner is a process of this machine that has ended."""
    host, _, process = owner.partition("@")[2].rpartition(":")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, under another user
    return True
