"""A budget ends a run between two stages, in this process and on pools; a higher one goes on."""

import json

import pytest
from ledgers import finished_runs, parent_runs

from flows.pools import PoolRunner
from polymlops.config.profiles import load_config
from polymlops.config.schema import DataConfig
from polymlops.errors import BudgetError
from polymlops.refs import DatasetRef
from polymlops.tracking.roadmaps import roadmap_run
from polymlops.tracking.stage import FIRST, Stage
from tasks.policy import is_transient

RUN = ("run", "smoke", "--phase", "1", "--set", "arms=[zero_shot]", "--set", "tracking.price_per_hour=3600")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_run_ends_between_stages_and_goes_on_with_more_money(shell, tmp_path):
    out = tmp_path / "out"
    asked = (*RUN, "--set", f"output_dir={out}")
    code, poor = shell.run(*asked, "--set", "execution.budget_dollars=0.001")
    assert code == 1
    assert "the budget of $0.001 does not reach for build_base_model" in poor.err
    assert "the same command goes on from there" in poor.err
    before = finished_runs(out)
    assert set(before) == {"prepare_dataset"}
    assert [status for _, _, status in parent_runs(out)] == ["FAILED"]
    code, planned = shell.run("plan", *asked[1:2], *asked[4:], "--set", "execution.budget_dollars=7", "--json")
    total = json.loads(planned.out)["total"]
    assert code == 0
    assert total["budget_dollars"] == 7
    assert total["spent_dollars"] > 0.001
    more = total["spent_dollars"] + 0.001
    code, richer = shell.run(*asked, "--set", f"execution.budget_dollars={more}")
    assert code == 1
    assert "does not reach for sample_arm zero_shot/0" in richer.err
    after = finished_runs(out)
    assert after["prepare_dataset"] == before["prepare_dataset"]
    assert set(after) == {"prepare_dataset", "build_base_model"}
    assert len(parent_runs(out)) == 1


def test_no_worker_is_asked_where_the_money_is_gone(tmp_path):
    config = load_config(
        "smoke", [f"output_dir={tmp_path}", "tracking.price_per_hour=3600", "execution.budget_dollars=0.000001"]
    )
    stage = Stage("prepare_dataset", DataConfig(), DatasetRef, _work)
    with roadmap_run(config, "source") as context:
        context.run(stage)
        runner = PoolRunner(context, 0, "prepare_dataset", {})
        assert runner.run(stage, FIRST).cached
        with pytest.raises(BudgetError, match="does not reach for prepare_dataset") as found:
            runner.run(Stage("prepare_dataset", DataConfig(seed=1), DatasetRef, _work), FIRST)
    assert not is_transient(found.value)


def _work(_inputs, job):
    (job.output / "file").write_text("x")
    return {}
