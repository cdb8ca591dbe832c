"""Every metric that a run logs is on docs/metrics.md, and what stands there is computed somewhere, as it says."""

import importlib
import re
import sqlite3
from contextlib import closing

import pytest
from metrics_page import PAGE, MetricsPage
from processes import ROOT

from polymlops.report.score_metrics import direction

WORDS = {"up": "higher", "down": "lower", "–": ""}
COMPARED = ("What candidates are worth", "What another candidate adds", "Diversity within a prompt")


@pytest.fixture(scope="module")
def page():
    return MetricsPage(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def logged(smoke):
    with closing(sqlite3.connect(f"file:{smoke.output_dir / 'mlflow.db'}?mode=ro", uri=True)) as store:
        return {name for (name,) in store.execute("select distinct key from metrics")}


@pytest.mark.slow
def test_whatever_a_run_logs_is_documented(page, logged):
    assert len(logged) > 500
    missing = sorted(name for name in logged if not page.documents(name))
    assert not missing, f"not on docs/metrics.md: {missing[:10]}"


@pytest.mark.slow
def test_what_is_documented_is_logged_or_named_in_the_source(page, logged):
    seen = {known for name in logged for known in page.documents(name)}
    source = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "polymlops").rglob("*.py")))
    assert len(seen) > 100
    placeholder = "|".join(sorted(page.stands_for, key=len, reverse=True))
    for name in page.patterns.keys() - seen:
        parts = [part for part in re.split(f"{placeholder}|/|_layer_", name) if len(part.strip("_")) > 2]
        assert parts, name
        assert all(part.strip("_") in source for part in parts), f"{name}: nothing computes it"


def test_the_functions_exist(page):
    for row in page.rows:
        module, _, name = row.function.rpartition(".")
        assert hasattr(importlib.import_module(f"polymlops.{module}"), name), row.function


def test_directions_are_those_of_the_tables(page):
    compared = [row for row in page.rows if row.section in COMPARED]
    assert len(compared) > 25
    for row in compared:
        for name, better in zip(row.names, row.better, strict=True):
            assert WORDS[better] == direction(name), f"{name} is said to be better {better}"


def test_an_unknown_metric_and_an_unknown_selector_are_not_documented(page):
    assert page.documents("social/baseline/usq_reward_at_10_low") == ["usq_SELECTOR_at_K"]
    assert page.documents("code_world/pass_at_1") == ["pass_at_K"]
    assert page.documents("social/baseline_grpo_minus_baseline/quality") == ["quality"]
    assert not page.documents("social/brand_new_at_5")
    assert not page.documents("social/usq_oracle_at_5")
    assert not page.documents("train/brand_new")
    assert not page.documents("elsewhere/quality")
