"""What the registry serves, measured on the prompts of a day: the smoke run's models, which are candidates."""

import json
import sys

import pytest
from ledgers import finished_runs

from flows.champion import FRESH_WORLDS, fresh_prompts
from polymlops.config.profiles import load_config

SCRIPT = """
import json, sys
from flows.services import services
from polymlops.config.profiles import load_config

config = load_config("smoke", ["output_dir=" + sys.argv[1], "name=" + sys.argv[2]])
with services(config) as prefect:
    from flows.champion import evaluate_champion

    results = prefect.settled(evaluate_champion(config, 7, return_state=True))
print(json.dumps({"world": results.world, "scores": {uri: ref.run_id for uri, ref in results.scores.items()}}))
"""


def _evaluate(shell, tmp_path, output_dir, name):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    started = shell.start(sys.executable, str(script), str(output_dir), name)
    return started.wait(), started


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_served_models_are_scored_on_fresh_prompts_once_a_day(shell, after_smoke, tmp_path):
    before = finished_runs(after_smoke)
    code, first = _evaluate(shell, tmp_path, after_smoke, "smoke")
    assert code == 0, first.err
    told = json.loads(first.out.splitlines()[-1])
    assert told["world"] == FRESH_WORLDS + 7
    assert set(told["scores"]) == {f"models:/polymlops-smoke-grpo-{start}/1" for start in ("baseline", "polychromic")}
    after = finished_runs(after_smoke)
    new = {title: len(runs) - len(before.get(title, [])) for title, runs in after.items()}
    arms = ("baseline_grpo/42", "polychromic_grpo/42")
    made = {"prepare_dataset"} | {f"{stage} {arm}" for stage in ("sample_arm", "score_samples") for arm in arms}
    assert {title for title, count in new.items() if count} == made
    assert set(told["scores"].values()) == {after[f"score_samples {arm}"][-1] for arm in arms}
    code, second = _evaluate(shell, tmp_path, after_smoke, "smoke")
    assert (code, json.loads(second.out.splitlines()[-1])) == (0, told), second.err
    assert finished_runs(after_smoke) == after


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_registered_model_is_an_error_with_its_remedy(shell, tmp_path):
    code, done = _evaluate(shell, tmp_path, tmp_path / "out", "nobody")
    assert code != 0
    assert "no model of nobody is registered: run its phase 2 first" in done.err


def test_prompts_of_another_day_are_others_and_training_worlds_are_not_among_them():
    config = load_config("smoke")
    worlds = {fresh_prompts(config, day).data.source.seed for day in (1, 2)}
    assert len(worlds) == 2
    assert min(worlds) > FRESH_WORLDS > config.data.source.seed
    assert fresh_prompts(config, 1).name == "smoke-champion"
