"""Progress on a run's page costs a stage nothing, whatever the Prefect API does."""

import logging
import socket
import time
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from polymlops.records import silent
from tasks import progress, run_pages
from tasks.progress import Page, shown_progress

STEPS = 1000


@pytest.fixture
def silent_port():
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("kind", ["silent_port", "closed_port"])
def test_an_api_that_is_away_is_said_once_and_costs_no_step(kind, request, monkeypatch, caplog):
    monkeypatch.setattr(progress, "INTERVAL_S", 0.05)
    monkeypatch.setattr(progress, "PAUSE_S", 0.05)
    monkeypatch.setattr(progress, "LAST_S", 1.0)
    monkeypatch.setattr(run_pages, "REQUEST_S", 0.2)
    url = f"http://127.0.0.1:{request.getfixturevalue(kind)}/api"
    with (
        temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}),
        caplog.at_level(logging.WARNING, "polymlops.pages"),
    ):
        begin = time.monotonic()
        with shown_progress("train_adapter baseline/42", Page(uuid4())) as told:
            for step in range(STEPS):
                told(step + 1, STEPS, "step")
            time.sleep(1)  # several attempts to send
        assert time.monotonic() - begin < 30
    warnings = [record.getMessage() for record in caplog.records if record.name == "polymlops.pages"]
    assert len(warnings) == 1
    assert warnings[0].startswith("train_adapter baseline/42: its progress is not shown for now: ")


def test_outside_of_a_run_nothing_is_sent():
    with shown_progress("train_adapter baseline/42", progress.page_here()) as told:
        told(1, 2, "step")
    assert told is silent


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        (("progress", "train_adapter polychromic/42"), "progress-train-adapter-polychromic-42"),
        (("plan", "roadmap", "my.run_1"), "plan-roadmap-my-run-1"),
        (("plan", "<b>\n\"'é"), "plan-b"),
    ],
)
def test_keys_are_lower_case_with_dashes(parts, key):
    assert run_pages.artifact_key(*parts) == key


def test_keys_end_somewhere():
    assert len(run_pages.artifact_key("progress", "x" * 10_000)) <= 250
