"""The roadmap with a judge that is asked over HTTP: killed in the middle, nothing is asked twice, and no key stays."""

import shutil
import sqlite3
import threading
from contextlib import closing

import pytest
from judge_server import Act, JudgeServer, completion, verdict
from ledgers import finished_runs
from processes import PROFILE

pytestmark = pytest.mark.slow
SECRET = "sk-Zq7/secret+value=Jx91"
FIRST = "score_texts zero_shot/0"


@pytest.fixture
def output_dir(smoke, tmp_path):
    """A finished smoke run to go on from."""
    return shutil.copytree(smoke.output_dir, tmp_path / "out")


def judged(output_dir, server):
    prices = "{m: {input: 1, output: 2}}"
    backend = f"{{kind: endpoint, base_url: '{server.url}', model: m, concurrency: 2, prices: {prices}}}"
    settings = [f"output_dir={output_dir}", f"creative.judge.backend={backend}"]
    return ["run", PROFILE, "--phase", "3", *(part for setting in settings for part in ("--set", setting))]


def verdicts(output_dir):
    path = output_dir / "verdicts.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as database:
        return database.execute("select count(*) from verdicts").fetchone()[0]


def test_a_kill_among_verdicts_asks_nothing_twice_and_the_key_stays_nowhere(output_dir, shell):
    held, kept = threading.Event(), 5

    def script(number, seen):
        assert seen.authorization == f"Bearer {SECRET}"
        return Act(body=completion(verdict(seen)), hold=None if number < kept else held)

    with JudgeServer(script) as server:
        command = judged(output_dir, server)
        first = shell.polymlops(*command, POLYMLOPS_JUDGE_KEY=SECRET)
        first.wait_for(lambda: len(server.seen) == kept + 2 and verdicts(output_dir) == kept)
        first.kill()
        held.set()
        before = server.asked.copy()
        code, second = shell.run(*command, POLYMLOPS_JUDGE_KEY=SECRET)
        assert code == 0, second.err
        repeated = {question for question, count in server.asked.items() if count > 1}
    assert len(repeated) == 2  # those under way at the kill, whose answers never came
    assert repeated <= set(before)
    assert verdicts(output_dir) == len(server.asked)
    assert len(finished_runs(output_dir)[FIRST]) == 2  # the truth's, and this judge's
    texts = [first.out, first.err, second.out, second.err]
    assert not any(SECRET in text for text in texts)
    files = [path for path in output_dir.rglob("*") if path.is_file()]
    assert len(files) > 100
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.long
def test_a_judge_that_cannot_be_reached_ends_the_run_and_says_what_to_do(output_dir, shell):
    with JudgeServer() as server:
        command = judged(output_dir, server)  # nobody listens there afterwards
    retries = ["--set", "creative.judge.backend.retries=0"]
    code, done = shell.run(*command, *retries, POLYMLOPS_JUDGE_KEY=SECRET)
    assert code == 2
    assert FIRST in done.err
    assert "error" in done.err


@pytest.mark.long
def test_a_missing_key_is_named_by_its_variable(output_dir, shell):
    with JudgeServer() as server:
        code, done = shell.run(*judged(output_dir, server))
        assert code == 2
        assert "POLYMLOPS_JUDGE_KEY" in done.err
        assert not server.seen
