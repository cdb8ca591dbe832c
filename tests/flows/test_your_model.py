"""The README's section on your own model: its commands, on small random models, do what it says."""

from __future__ import annotations

import json

import pytest
from readme import readme_commands, with_places
from test_given_profiles import SMALL, STORIES

pytestmark = pytest.mark.slow
FEW = ("--n", "2", "--prompts", "3", "--max-new-tokens", "12", "--resamples", "100")
QUICK = ("arms=[zero_shot, baseline]", "evaluation.track_dynamics=false", "sft.epochs=0.1")


@pytest.fixture(scope="module")
def commands():
    doctor, evaluate, run, continues = readme_commands("Your model")
    return {"doctor": doctor, "evaluate": evaluate, "run": run, "stories": continues}


def small(command, shell, pairs):
    """Smoke-sized settings before the README's own, which stand last and so win."""
    verb, profile, *own = command
    sets = [word for pair in (*pairs, f"output_dir={shell.folder / 'out'}") for word in ("--set", pair)]
    return [verb, profile, *sets, *own]


def test_the_machine_is_asked_first(commands, shell, qwen3_folder):
    code, done = shell.run(*with_places(commands["doctor"], {"MODEL": str(qwen3_folder)}))
    assert code in (0, 1), done.err  # 1: something of this machine, which its line names
    assert {line.split()[0] for line in done.out.splitlines()} <= {"ok", "warn", "fail"}


def test_a_model_is_evaluated_on_programs(commands, shell, qwen3_folder):
    out = shell.folder / "scores"
    places = {"MODEL": str(qwen3_folder), "scores": str(out)}
    code, done = shell.run(*with_places(commands["evaluate"], places), *FEW, "--json")
    assert code == 0, done.err
    assert {"pass_at_1", "ast_diversity"} <= {row["metric"] for row in json.loads(done.out)["table"]}
    assert (out / "scores" / "scores.parquet").is_file()


@pytest.mark.long
def test_a_model_is_trained_and_sampled(commands, shell, qwen3_folder):
    command = with_places(commands["run"], {"MODEL": str(qwen3_folder)})
    code, done = shell.run(*small(command, shell, (*SMALL, *QUICK)), "--json")
    assert code == 0, done.err
    assert {row["arm"] for row in json.loads(done.out)["core"]["table"]} == {"zero_shot", "baseline"}


def test_a_model_that_continues_text_is_understood(commands, shell, llama_folder):
    """Whole runs of this profile are in test_given_profiles: here its command is planned, model and settings read."""
    verb, *rest = small(with_places(commands["stories"], {"MODEL": str(llama_folder)}), shell, STORIES)
    assert verb == "run"
    code, done = shell.run("plan", *rest, "--json")
    assert code == 0, done.err
    planned = json.loads(done.out)
    assert planned["config"]["base_model"]["path"] == str(llama_folder)
    assert any(stage["title"] == "take_base_model" for stage in planned["stages"])
