"""Money and keys: the budget is never passed, by any threads or runs; the key is nowhere but in the header."""

from __future__ import annotations

import io
import logging
import pickle
import traceback

import pytest
from judge_server import INPUT_TOKENS, OUTPUT_TOKENS, Act, JudgeServer, completion, proper
from pydantic import ValidationError

from polymlops.config.judge import EndpointJudgeConfig, JudgeConfig, TokenPrice
from polymlops.errors import InputError, PolymlopsError
from polymlops.evaluation.judge import Item, judge_items
from polymlops.evaluation.judge_endpoint import request_body
from polymlops.evaluation.judge_key import Key, read_key
from polymlops.evaluation.judge_money import cost, worst_case
from polymlops.evaluation.judge_prompts import Asker
from polymlops.evaluation.judge_store import PICO, Budget, VerdictStore
from polymlops.evaluation.judge_tables import judge_metrics, verdict_table
from polymlops.tracking.params import flatten

N = 20
ITEMS = [Item(f"i{i:02}", "Prompt.", "x" * (i + 10)) for i in range(N)]
PRICE = TokenPrice(input=3.0, output=15.0)
CALL = (3.0 * INPUT_TOKENS + 15.0 * OUTPUT_TOKENS) / 1e6  # dollars of a call by the server's token counts
SECRET = "sk-Zq7/secret+value=Jx91"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "verdicts.sqlite"


def backend(server, **changes):
    values = {"base_url": server.url, "model": "m", "key_env": None, "concurrency": 4, "requests_per_minute": 60_000.0}
    return EndpointJudgeConfig(**(values | {"backoff": 0.01, "prices": {"m": PRICE}} | changes))


def config(server, **changes):
    return JudgeConfig(backend=backend(server, **changes))


def worst_dollars(server, item):
    spec = backend(server)
    question = Asker("endpoint:m", {}, JudgeConfig().rubric).score(item)
    return worst_case(spec, len(request_body(spec, question))) / PICO


def test_cost_comes_from_tokens_and_prices(store):
    with JudgeServer() as server:
        report = judge_items(config(server), ITEMS, store)
        assert report.verdicts[0].dollars == pytest.approx(CALL)
        assert report.totals.dollars == pytest.approx(N * CALL)
        assert report.totals.dollars_uncertain == 0
        with VerdictStore(store) as opened:
            assert opened.spending("endpoint:m").calls == N
            assert opened.spending("endpoint:m").dollars == pytest.approx(N * CALL)
        again = judge_items(config(server), ITEMS, store)
        assert again.totals.dollars == 0
        assert again.verdicts[0].dollars == pytest.approx(CALL)  # what it cost when it was asked


def test_without_a_price_cost_is_nan_and_with_the_wrong_one_it_is_refused(store):
    with JudgeServer() as server:
        report = judge_items(config(server, prices={}), ITEMS[:2], store)
        assert str(report.totals.dollars) == str(report.verdicts[0].dollars) == "nan"
        for changes in ({"prices": {"other": PRICE}}, {"prices": {}, "budget_dollars": 1.0}):
            with pytest.raises(ValidationError, match=r"prices has no row for model 'm'.*add prices\.m"):
                backend(server, **changes)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_budget_in_calls_stops_before_it_is_passed(store, concurrency):
    with JudgeServer() as server:
        report = judge_items(config(server, budget_calls=7, concurrency=concurrency), ITEMS, store)
        assert len(server.seen) == report.totals.calls == report.totals.scored == 7
        assert report.totals.unasked == N - 7
        assert "budget_calls 7" in report.totals.stopped
        again = judge_items(config(server, budget_calls=7), ITEMS, store)
        assert len(server.seen) == 7  # the budget is of the store, not of a run: a retried stage spends nothing more
        assert (again.totals.cached, again.totals.unasked) == (7, N - 7)
        judge_items(config(server, budget_calls=9), ITEMS, store)
        assert len(server.seen) == 9


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_budget_in_dollars_stops_before_the_worst_case_would_pass_it(store, concurrency):
    with JudgeServer() as server:
        worst = worst_dollars(server, ITEMS[-1])
        budget = worst + 5.5 * CALL
        report = judge_items(config(server, budget_dollars=budget, concurrency=concurrency), ITEMS, store)
        assert len(server.seen) == report.totals.scored == 6  # after six, less than a worst case is left
        assert report.totals.dollars == pytest.approx(6 * CALL)
        assert "raise the budget" in report.totals.stopped


def test_calls_under_way_count_at_their_worst_case(store):
    """Eight threads, and a budget for two worst cases, of which none gives anything back."""
    with JudgeServer() as server:
        worst = worst_dollars(server, ITEMS[0])

        def dear(number, seen):
            return Act(body=completion("{}", usage=False), delay=0.3)

        server.script = dear
        report = judge_items(
            config(server, budget_dollars=2.5 * worst, concurrency=8, parse_retries=0), ITEMS[:8], store
        )
        assert len(server.seen) == 2
        assert report.totals.dollars == 0
        assert 0 < report.totals.dollars_uncertain <= 2.5 * worst
        assert str(report.verdicts[0].dollars) == "nan"


def test_a_cut_call_may_have_been_paid_for_and_stays_counted(store):
    with JudgeServer(lambda n, seen: Act(body="x" * 500, cut=True) if n == 0 else proper(n, seen)) as server:
        report = judge_items(config(server), ITEMS[:1], store)
        assert report.totals.calls == 2
        assert report.totals.dollars == pytest.approx(CALL)
        assert report.totals.dollars_uncertain == pytest.approx(worst_dollars(server, ITEMS[0]))


def test_an_answered_error_costs_nothing(store):
    with JudgeServer(lambda n, seen: Act(status=500) if n == 0 else proper(n, seen)) as server:
        report = judge_items(config(server), ITEMS[:1], store)
        assert (report.totals.calls, report.totals.dollars_uncertain) == (2, 0)


def test_money_is_exact_in_picodollars(store):
    assert cost(TokenPrice(input=0.15, output=0.6), 1000, 100) == 210_000_000
    with VerdictStore(store) as opened:
        budget = Budget(dollars=0.3)
        assert [opened.reserve("j", PICO // 10, budget) for _ in range(4)] == [True, True, True, False]
        opened.settle("j", -1)
        assert not opened.reserve("j", 2, budget)
        assert opened.reserve("j", 1, budget)
        assert opened.reserve("other", PICO // 10, budget)  # a judge of its own


@pytest.fixture
def everything(tmp_path, monkeypatch):
    """A run with a key against a server that says it back wherever it can; all that was left behind."""
    logs = io.StringIO()
    handler = logging.StreamHandler(logs)
    root = logging.getLogger()
    monkeypatch.setenv("TEST_JUDGE_KEY", SECRET)
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.DEBUG)
    try:
        yield tmp_path, logs
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def echo(status):
    """A script that says the key back in a body of this status."""

    def script(number, seen):
        held = seen.authorization
        headers = {"X-Echo": held, "Retry-After": held}
        if status == 200:
            return Act(body=completion(f"The key is {held}"), headers=headers)
        return Act(status=status, headers=headers, body=f'{{"error": {{"message": "bad {held}"}}}}')

    return script


@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 429, 500])
def test_the_key_is_in_the_header_and_nowhere_else(everything, capfd, status):
    folder, logs = everything
    left = []
    with JudgeServer(echo(status)) as server:
        spec = config(server, key_env="TEST_JUDGE_KEY", retries=1, parse_retries=1)
        try:
            report = judge_items(spec, ITEMS[:3], folder / "verdicts.sqlite")
            verdict_table(report).write_parquet(folder / "verdicts.parquet", compression="uncompressed")
            left += [repr(report), repr(judge_metrics(report))]
        except PolymlopsError as error:
            shown = traceback.TracebackException.from_exception(error, capture_locals=True)
            left += ["".join(shown.format()), repr(error), repr(pickle.dumps(error))]
        assert {seen.authorization for seen in server.seen} == {f"Bearer {SECRET}"}
        left += [repr(spec), spec.model_dump_json(), repr(flatten(spec))]
    left += [logs.getvalue(), *capfd.readouterr()]
    left += [path.read_bytes().decode("latin-1") for path in folder.iterdir()]
    assert "receive_response_headers.complete" in logs.getvalue()  # the client's debug logs were on
    assert "X-Echo" in logs.getvalue()
    assert len(left) >= 7
    for text in left:
        assert SECRET not in text
        assert SECRET.partition("/")[0] not in text


def test_a_key_shows_itself_to_nobody(monkeypatch):
    key = Key(SECRET)
    assert SECRET not in f"{key} {key!r} {[key]}"
    with pytest.raises(TypeError):
        pickle.dumps(key)
    assert key.hidden_in(f"a {SECRET} b") == "a [key] b"
    assert Key("").authorization is None


@pytest.mark.parametrize("value", ["", "   ", "two words", "line\nbreak", "schlüssel"])
def test_a_key_that_is_none_is_an_error_that_does_not_show_it(monkeypatch, value):
    monkeypatch.setenv("TEST_JUDGE_KEY", value)
    with pytest.raises(InputError, match="TEST_JUDGE_KEY") as caught:
        read_key("TEST_JUDGE_KEY")
    assert not value.strip() or value not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": f"https://user:{SECRET.replace('/', '')}@host/v1"},
        {"base_url": f"https://host/v1?key={SECRET}"},
        {"base_url": SECRET},
        {"key_env": SECRET},
        {"api_key": SECRET},
    ],
)
def test_a_key_in_the_wrong_place_is_refused_without_showing_it(wrong):
    with pytest.raises(ValidationError) as caught:
        EndpointJudgeConfig(**({"base_url": "https://host/v1", "model": "m"} | wrong))
    assert "secret" not in str(caught.value)
    assert "secret" not in "".join(fault["msg"] for fault in caught.value.errors())
