"""A smoke run leaves everything that phase 2 promises, its models in the registry, once each."""

import csv
import json
import sqlite3
from pathlib import Path

import pytest
from processes import PROFILE

pytestmark = pytest.mark.slow
ARMS = ["baseline", "polychromic", "baseline_grpo", "polychromic_grpo"]
MODELS = ["polymlops-smoke-grpo-baseline", "polymlops-smoke-grpo-polychromic"]


@pytest.fixture(scope="module")
def printed(smoke):
    return json.loads(smoke.printed)["depth"]


def _query(smoke, query):
    return _query_in(smoke.output_dir, query)


def _query_in(output_dir, query):
    with sqlite3.connect(output_dir / "mlflow.db") as database:
        return database.execute(query).fetchall()


def test_table_and_figures_compare_the_trained_arms_with_their_starts(printed):
    assert list(dict.fromkeys(row["arm"] for row in printed["table"])) == ARMS
    assert {"usq_reward_at_6", "usq_logprob_at_6", "quality"} <= {row["metric"] for row in printed["table"]}
    names = {Path(name).name for name in printed["files"]}
    assert {f"proxy_and_gold.{ending}" for ending in ("pdf", "png", "json")} <= names
    rows = json.loads((Path(printed["folder"]) / "comparisons.json").read_text())
    pairs = {(row["arm"], row["reference"]) for row in rows}
    assert {("baseline_grpo", "baseline"), ("polychromic_grpo", "polychromic")} < pairs
    assert ("polychromic_grpo", "baseline_grpo") in pairs


def test_the_analyses_lie_beside_the_table_with_their_figures(printed):
    folder = Path(printed["folder"])
    expected = {
        "adapters": ("lora_parameter_analysis.pdf", "lora_parameters.csv", "layer_ablation.csv", "rank_advice.json"),
        "mechanism": ("attention_heads.pdf", "depth_divergence.pdf", "gradient_norms.pdf", "gradients.csv"),
        "theory": ("theory.pdf", "theory.json", "theory.csv"),
    }
    assert set(printed["artifacts"]["analyses"]) == set(expected)
    for name, files in expected.items():
        assert all((folder / name / file).stat().st_size > 0 for file in files)
        assert str(folder / name / files[0]) in printed["files"]
    with (folder / "mechanism" / "gradients.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["arm"] for row in rows} == set(ARMS)
    assert {row["layer"] for row in rows} == {"0", "1", "all"}


def test_what_the_analyses_found_is_in_the_tracker(smoke):
    query = (
        "select m.key from latest_metrics m join tags t on t.run_uuid = m.run_uuid and t.key = 'stage'"
        " where t.value in ('analyse_adapters', 'analyse_mechanism', 'check_theory')"
    )
    keys = {key for (key,) in _query(smoke, query)}
    assert {"lora/polychromic_grpo/42/norm", "mechanism/polychromic_minus_baseline/kl_layer_1"} <= keys
    assert any(key.startswith("theory/") and key.endswith("/holds_share") for key in keys)


def test_both_models_are_registered_once_as_candidates(smoke, printed):
    assert [(model["name"], model["version"]) for model in printed["models"]] == [(name, 1) for name in MODELS]
    assert _query(smoke, "select name, version from model_versions order by name") == [(name, 1) for name in MODELS]
    aliases = _query(smoke, "select name, alias, version from registered_model_aliases order by name")
    assert aliases == [(name, "candidate", 1) for name in MODELS]


def test_the_decision_is_on_the_version_with_its_reason(smoke):
    query = "select name, value from model_version_tags where key = 'promotion.reason' order by name"
    reasons = _query(smoke, query)
    assert [name for name, _ in reasons] == MODELS
    assert all(reason for _, reason in reasons)


def test_training_logged_what_grpo_promises(smoke):
    (run_id,) = {
        run for (run,) in _query(smoke, "select run_uuid from runs where name = 'train_grpo polychromic_grpo/42'")
    }
    logged = {key for (key,) in _query(smoke, f"select distinct key from metrics where run_uuid = '{run_id}'")}
    promised = ("reward", "reward_within_spread", "reward_zero_spread_share", "kl", "entropy", "diversity")
    assert {f"train/{name}" for name in (*promised, "duplicate_share", "truncated_share")} <= logged
    assert {"dynamics/reward", "dynamics/quality", "dynamics/true_intents"} <= logged


def test_phase_2_alone_finds_its_foundations_and_its_models(smoke, after_smoke, shell):
    code, done = shell.run("run", PROFILE, "--phase", "2", "--json", "--set", f"output_dir={after_smoke}")
    assert code == 0, done.err
    found = json.loads(done.out.replace(str(after_smoke), str(smoke.output_dir)))
    assert found["depth"] == json.loads(smoke.printed)["depth"]
    assert _query_in(after_smoke, "select count(*) from model_versions") == [(2,)]


def test_without_a_grpo_arm_phase_2_is_refused(shell):
    arms = "arms=[zero_shot, few_shot, baseline]"
    code, done = shell.run("run", PROFILE, "--phase", "2", "--set", arms)
    assert code == 2
    assert "phase 2 needs baseline_grpo or polychromic_grpo" in done.err
