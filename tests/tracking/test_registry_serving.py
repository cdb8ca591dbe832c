"""What a registered model gives to a process that has nothing but the MLflow store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from registry_parts import BETTER, decide, make_candidate, stored

from polymlops.config.rewards import RewardModelConfig
from polymlops.records import Job
from polymlops.refs import RewardRef
from polymlops.tracking.ranked_replies import RankedReplies, ReplySettings
from polymlops.tracking.registry import register_adapter
from polymlops.tracking.registry_promotion import promote
from polymlops.training.reward_model import train_reward_model

POSTS = ["my cat sleeps all day.", "who else grows tomatoes on a balcony?"]
CONSUMER = """
import json, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/polymlops-smoke-grpo-baseline@champion")
posts = json.loads(sys.argv[1])
answers = {
    "list": model.predict(posts),
    "table": model.predict(pd.DataFrame({"post": posts})),
    "column": model.predict(pd.Series(posts, name="post")),
    "other seed": model.predict(posts, params={"k": 4, "seed": 99}),
    "one": model.predict(posts[0]),
}
print(json.dumps({name: answer.to_dict("records") for name, answer in answers.items()}))
for wrong in ([""], [None], pd.DataFrame({"author": ["a"]})):
    try:
        model.predict(wrong)
    except Exception as error:
        print(type(error).__name__, error, file=sys.stderr)
try:
    model.predict(posts, params={"k": 0})
except Exception as error:
    print(type(error).__name__, error, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def reward_folder(small_base, small_dataset, tmp_path_factory):
    job = tmp_path_factory.mktemp("reward")
    (job / "output").mkdir()
    config = RewardModelConfig(candidates=("frozen",), folds=2, references=2, resamples=100, validate=False)
    train_reward_model(config, small_base, small_dataset, Job(job / "output", job, lambda m, s: None))
    return job / "output"


def consume(book, cwd: Path) -> tuple[dict, str]:
    """The answers of a process that knows where the store is, and nothing else."""
    known = {"MLFLOW_TRACKING_URI": book.context.tracking_uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    threads = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY") if name in os.environ}
    command = [sys.executable, "-I", "-c", CONSUMER, json.dumps(POSTS)]
    done = subprocess.run(command, cwd=cwd, env=known | threads, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["learned", "heuristic"])
def test_champion_answers_in_a_fresh_process_and_folder(book, small_base, reward_folder, tmp_path, kind):
    candidate = make_candidate(book, small_base, tmp_path)
    adapter = tmp_path / "adapter"
    reward = reward_folder if kind == "learned" else None
    if reward is not None:
        candidate = replace(candidate, reward=stored(book, reward, RewardRef))
    expected = RankedReplies.load(small_base, adapter, reward, ReplySettings.of(candidate.sampling)).rank(POSTS)
    promote(book.client, register_adapter(book.context, candidate), decide(BETTER))
    for ref in candidate.sources.values():  # nothing but the registered model is left
        shutil.rmtree(book.stored(ref))
    for folder in (adapter, tmp_path / "cache", tmp_path / "work"):
        shutil.rmtree(folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    answers, said = consume(book, elsewhere)

    found = [(row["post"], row["rank"], row["reply"]) for row in answers["list"]]
    assert found == [(item.post, item.rank, item.reply) for item in expected]
    assert [row["score"] for row in answers["list"]] == pytest.approx([item.score for item in expected], abs=1e-6)
    assert answers["table"] == answers["column"] == answers["list"]
    assert answers["one"] == answers["list"][:3]
    assert [row["rank"] for row in answers["other seed"]] == [1, 2, 3, 4] * 2
    assert {row["reply"] for row in answers["other seed"]} != {row["reply"] for row in answers["list"]}
    for words in ("post 0 is ''", "None", "column 'author'", "k = 0"):
        assert words in said
    assert list(elsewhere.iterdir()) == []
