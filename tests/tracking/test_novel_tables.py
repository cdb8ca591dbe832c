import json
import math

import pytest

from polymlops.config.schema import LoraConfig
from polymlops.errors import ArtifactError
from polymlops.refs import ReportRef
from polymlops.tracking import ledger
from polymlops.tracking.novel_tables import headline_rows, record_novel_table
from polymlops.tracking.stage import Stage


def row(metric, value, seed=None, arm="baseline"):
    return {
        "domain": "social",
        "arm": arm,
        "seed": seed,
        "metric": metric,
        "value": value,
        "low": None if value is None else value - 0.1,
        "high": None if value is None else value + 0.1,
        "n": 7,
        "note": "more than is logged",
    }


ROWS = [
    row("usq_reward_at_5", 0.5),
    row("usq_reward_at_10", 0.6),
    row("usq_reward_at_10", 0.7, seed=42),
    row("quality", 0.4),
    row("der_at_10", 3.0),
    row("collapse_point", None),
]


def write(folder, rows=ROWS):
    (folder / "novel_metrics.json").write_text(json.dumps(rows))
    (folder / "novel_findings.json").write_text(json.dumps({"social": {"shown": 10}}))


def test_headlines_are_those_at_the_shown_k_over_all_seeds(tmp_path):
    write(tmp_path)
    rows = headline_rows(tmp_path)
    assert [(item.arm, item.metric) for item in rows] == [
        ("baseline", "social/usq_reward_at_10"),
        ("baseline", "social/der_at_10"),
        ("baseline", "social/collapse_point"),
    ]
    assert rows[0].value == 0.6
    assert math.isnan(rows[2].value)


@pytest.mark.parametrize("text", ["", "3", "[1]", '[{"arm": "a"}]'])
def test_a_damaged_report_is_an_error(tmp_path, text):
    write(tmp_path)
    (tmp_path / "novel_metrics.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"novel_metrics\.json"):
        headline_rows(tmp_path)


def test_they_are_on_the_run_of_the_arm(book):
    def work(_folders, job):
        write(job.output)
        return {}

    report = book.context.run(Stage("measure_social", LoraConfig(), ReportRef, work)).ref
    rows = record_novel_table(book.context, {"social": report})
    (run,) = ledger.search(book.client, "tags.role = 'arm'")
    assert run.data.metrics["social/usq_reward_at_10"] == rows[0].value == 0.6
    assert run.data.metrics["social/usq_reward_at_10_low"] == pytest.approx(0.5)
    assert "social/quality" not in run.data.metrics
