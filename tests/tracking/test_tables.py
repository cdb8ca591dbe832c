import json
import math

import pytest

from polymlops.config.schema import LoraConfig
from polymlops.errors import ArtifactError
from polymlops.refs import ReportRef
from polymlops.tracking import ledger
from polymlops.tracking.stage import Stage
from polymlops.tracking.tables import read_table, record_table

ROWS = [
    {"arm": "a", "metric": "pass_at_1", "value": 0.5, "low": 0.4, "high": 0.6, "n": 10, "better": "high"},
    {"arm": "b", "metric": "pass_at_1", "value": None, "low": None, "high": None, "n": 0, "better": "high"},
]


def _report(book, rows, seed=1):
    def work(_folders, job):
        (job.output / "table.json").write_text(json.dumps(rows))
        return {}

    return book.context.run(Stage("report", LoraConfig(r=seed), ReportRef, work)).ref


def _arms(book):
    runs = ledger.search(book.client, "tags.role = 'arm'")
    return {run.data.tags["arm"]: run for run in runs}, len(runs)


def test_reads_rows_with_null_as_nan(tmp_path):
    (tmp_path / "table.json").write_text(json.dumps(ROWS))
    rows = read_table(tmp_path)
    assert [(row.arm, row.metric, row.n) for row in rows] == [("a", "pass_at_1", 10), ("b", "pass_at_1", 0)]
    assert rows[0].low == 0.4
    assert math.isnan(rows[1].value)


@pytest.mark.parametrize("text", ["", "[1]", '[{"arm": "a"}]', "3", '{"a": 1}'])
def test_damaged_table_is_an_error(tmp_path, text):
    (tmp_path / "table.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"table\.json"):
        read_table(tmp_path)


def test_missing_table_is_an_error(tmp_path):
    with pytest.raises(ArtifactError, match=r"table\.json"):
        read_table(tmp_path)


def test_each_arm_has_its_run_with_interval_ends(book):
    record_table(book.context, _report(book, ROWS), "social")
    arms, count = _arms(book)
    assert count == 2
    assert arms["a"].data.metrics == {
        "social/pass_at_1": 0.5,
        "social/pass_at_1_low": 0.4,
        "social/pass_at_1_high": 0.6,
    }
    assert list(arms["b"].data.metrics) == ["social/pass_at_1"]
    assert arms["a"].data.tags["mlflow.parentRunId"] == book.context.parent_run_id
    assert arms["a"].info.status == "FINISHED"


def test_same_report_again_writes_nothing_and_a_new_one_updates(book):
    report = _report(book, ROWS)
    record_table(book.context, report, "social")
    record_table(book.context, report, "social")
    arms, _ = _arms(book)
    assert len(book.client.get_metric_history(arms["a"].info.run_id, "social/pass_at_1")) == 1
    record_table(book.context, _report(book, [ROWS[0] | {"value": 0.7}], seed=2), "social")
    arms, count = _arms(book)
    assert count == 2
    assert arms["a"].data.metrics["social/pass_at_1"] == 0.7
