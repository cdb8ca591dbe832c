import math

import pytest

from polymlops.errors import TrackingError
from polymlops.tracking.ledger import begin_run
from polymlops.tracking.metric_log import MetricBuffer
from polymlops.tracking.store import open_store


@pytest.fixture
def run_id(book):
    return begin_run(book.client, book.context.experiment_id, {}, {})


def test_every_step_arrives_once(book, run_id, monkeypatch):
    monkeypatch.setattr("polymlops.tracking.metric_log.INTERVAL_S", 0.05)
    log = MetricBuffer(book.client, run_id)
    for step in range(2500):
        log({"train/loss": 1 / (step + 1)}, step)
    log.flush()
    history = book.client.get_metric_history(run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(step, 1 / (step + 1)) for step in range(2500)]


def test_waits_for_the_interval_or_the_flush(book, run_id):
    log = MetricBuffer(book.client, run_id)
    log({"a": 1.0}, 0)
    assert book.client.get_metric_history(run_id, "a") == []
    log.flush()
    log.flush()
    assert len(book.client.get_metric_history(run_id, "a")) == 1


def test_nan_is_kept(book, run_id):
    log = MetricBuffer(book.client, run_id)
    log({"a": math.nan}, 0)
    log.flush()
    assert math.isnan(book.client.get_metric_history(run_id, "a")[0].value)


def test_refusing_store_stops_nothing_before_the_end(book, run_id, monkeypatch, caplog):
    monkeypatch.setattr("polymlops.tracking.metric_log.INTERVAL_S", 0.0)
    monkeypatch.setattr("polymlops.tracking.metric_log.PAUSE_AFTER_FAILURE_S", 0.0)
    log = MetricBuffer(book.client, run_id)
    database = book.context.output_dir / "mlflow.db"
    database.rename(database.with_suffix(".away"))
    database.mkdir()
    log({"a": 1.0}, 0)
    assert "1 metrics wait" in caplog.text
    with pytest.raises(TrackingError, match="cannot log metrics"):
        log.flush()
    database.rmdir()
    database.with_suffix(".away").rename(database)
    log({"a": 2.0}, 1)
    history = open_store(book.context.tracking_uri).get_metric_history(run_id, "a")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 2.0)]
