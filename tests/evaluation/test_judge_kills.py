"""The judge killed in the middle, and two of them at once: what is stored is never asked again, by real processes."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from judge_server import Act, JudgeServer, proper

from polymlops.config.judge import EndpointJudgeConfig, JudgeConfig
from polymlops.errors import InputError
from polymlops.evaluation.judge import Item, judge_items
from polymlops.evaluation.judge_records import Answer
from polymlops.evaluation.judge_store import Budget, VerdictStore

N = 20
ITEMS = [Item(f"i{i}", "Prompt.", "x" * (i + 1)) for i in range(N)]
PROGRAM = """
import sys
from pathlib import Path
from polymlops.config.judge import JudgeConfig
from polymlops.evaluation.judge import Item, judge_items
config, store, count = JudgeConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
items = [Item(f"i{i}", "Prompt.", "x" * (i + 1)) for i in range(count)]
totals = judge_items(config, items, store).totals
print(totals.asked, totals.cached, totals.calls)
"""


@pytest.fixture
def store(tmp_path):
    return tmp_path / "verdicts.sqlite"


def config(server, **changes):
    values = {"base_url": server.url, "model": "m", "key_env": None, "concurrency": 1, "requests_per_minute": 60_000.0}
    return JudgeConfig(backend=EndpointJudgeConfig(**(values | changes)))


def start(spec, store):
    command = [sys.executable, "-c", PROGRAM, spec.model_dump_json(), str(store), str(N)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process):
    for _ in range(1200):
        if condition():
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


@pytest.mark.parametrize("threads", [1, 3])
def test_a_killed_run_is_gone_on_with_where_it_was(store, threads):
    answered, release = 6, threading.Event()

    def script(number, seen):
        act = proper(number, seen)
        return act if number < answered else Act(body=act.body, hold=release)

    with JudgeServer(script) as server:
        process = start(config(server, concurrency=threads), store)
        try:
            # Every thread waits for the server: all that was answered before is stored.
            wait_for(lambda: len(server.seen) == answered + threads, process)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert process.returncode == -signal.SIGKILL
        release.set()
        before = server.asked
        server.script = proper
        report = judge_items(config(server), ITEMS, store)
        assert (report.totals.cached, report.totals.asked, report.totals.calls) == (
            answered,
            N - answered,
            N - answered,
        )
        assert [verdict.outcome for verdict in report.verdicts] == ["scored"] * N
        again = server.asked - before
        assert len(again) == N - answered
        assert set(again.values()) == {1}
        done = {seen.content for seen in server.seen[:answered]}
        assert not done & again.keys()


def test_an_interrupted_run_keeps_even_what_was_under_way(store):
    def slowly(number, seen):
        return Act(body=proper(number, seen).body, delay=0.1)

    with JudgeServer(slowly) as server:
        process = start(config(server, concurrency=3), store)
        wait_for(lambda: len(server.seen) >= 6, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "KeyboardInterrupt" in errors
        assert len(server.seen) < N
        report = judge_items(config(server, concurrency=3), ITEMS, store)
        assert report.totals.scored == N
        assert len(server.seen) == N  # the calls that were under way were waited for, and stored
        assert set(server.asked.values()) == {1}


def test_two_processes_share_the_work_and_ask_nothing_twice(store):
    def slowly(number, seen):
        return Act(body=proper(number, seen).body, delay=0.1)

    with JudgeServer(slowly) as server:
        both = [start(config(server, concurrency=2), store) for _ in range(2)]
        outs = [process.communicate(timeout=120) for process in both]
        assert [process.returncode for process in both] == [0, 0], outs
        assert len(server.seen) == N
        assert set(server.asked.values()) == {1}
        asked, cached, calls = zip(*([int(word) for word in out.split()] for out, _ in outs), strict=True)
        assert sum(asked) == sum(calls) == N
        assert sum(cached) == N


def test_many_processes_may_open_a_new_store_at_once(store):
    program = (
        "import sys; from pathlib import Path\n"
        "from polymlops.evaluation.judge_records import Answer\n"
        "from polymlops.evaluation.judge_store import Budget, VerdictStore\n"
        "with VerdictStore(Path(sys.argv[1])) as store:\n"
        "    for i in range(20):\n"
        "        store.reserve('j', 1, Budget(calls=70))\n"
        "        store.record(f'{sys.argv[2]}-{i}', 'j', Answer('scored', {'fit': 3}))\n"
    )
    command = [sys.executable, "-c", program, str(store)]
    processes = [subprocess.Popen([*command, str(i)], stderr=subprocess.PIPE, text=True) for i in range(4)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    with VerdictStore(store) as opened:
        assert opened.spending("j").calls == 70  # of 80 that were tried
    with closing(sqlite3.connect(store)) as database:
        assert database.execute("select count(*) from verdicts").fetchone() == (80,)
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)


def test_a_claim_of_a_living_owner_holds_and_that_of_a_dead_one_does_not(store):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with VerdictStore(store) as one, VerdictStore(store) as two:
        assert one.claim("k", 60)
        assert one.claim("k", 60)
        assert not two.claim("k", 60)
        one.release("k")
        assert two.claim("k", 60)
        two.owner = two.owner.rpartition(":")[0] + f":{ended.pid}"
        assert two.claim("dead", 60)
        assert one.claim("dead", 60)
        two.owner = f"token@elsewhere:{ended.pid}"
        assert two.claim("far", 60)
        assert not one.claim("far", 60)
        two.renew(-1)
        assert one.claim("far", 60)


def test_the_first_answer_to_a_question_stays(store):
    with VerdictStore(store) as opened:
        opened.record("k", "j", Answer("scored", {"fit": 3}, "", 1, 2, 0.5))
        opened.record("k", "j", Answer("unscored", None, "late"))
        assert opened.answer("k") == Answer("scored", {"fit": 3}, "", 1, 2, 0.5, cached=True)
        opened.record("u", "j", Answer("unscored", None, "did not parse"))
        assert opened.answer("u").reason == "did not parse"
        assert opened.forget_unscored() == 1
        assert opened.answer("u") is None
        assert opened.answer("k") is not None


def test_a_budget_is_spent_in_one_statement(store):
    with VerdictStore(store) as opened:
        taken = []

        def take():
            taken.extend(opened.reserve("j", 1, Budget(calls=50)) for _ in range(25))

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(taken) == 50
        assert opened.spending("j").calls == 50


def test_what_is_no_store_is_refused(store, tmp_path):
    store.write_text("not a database, but long enough to look like a file " * 100)
    with pytest.raises(InputError, match="not a store of verdicts"):
        VerdictStore(store)
    with pytest.raises(InputError, match="cannot be opened"):
        VerdictStore(tmp_path / "nowhere" / "verdicts.sqlite")
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as database:
        database.execute("pragma user_version = 99")
    with pytest.raises(InputError, match="version 99"):
        VerdictStore(other)
