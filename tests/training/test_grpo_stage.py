"""GRPO as the roadmap calls it: the configured reward arrives, is maximised, and is measured on held-out prompts."""

import json

import numpy as np
import pytest
from grpo_parts import sft_start, spec_of

from polymlops.config.rewards import HeuristicRewardConfig
from polymlops.errors import ArtifactError
from polymlops.models.encoder import embed, load_encoder
from polymlops.training.grpo_stage import GRPOInputs, train_arm
from polymlops.training.rewards import build_reward


@pytest.fixture(scope="module")
def start(small_base, small_dataset, tmp_path_factory):
    return sft_start(small_base, small_dataset, tmp_path_factory.mktemp("start"))


def spec(reward, **changes):
    return spec_of(dynamics=True, **changes).model_copy(update={"reward": reward})


def test_the_configured_reward_is_what_is_logged_and_measured(small_base, small_dataset, start, make_job, tmp_path):
    config, job = HeuristicRewardConfig(weights={"length": 1.0}), make_job()
    metrics = train_arm(spec(config, steps=2), GRPOInputs(small_base, start, small_dataset, tmp_path), job)
    points = json.loads((job.output / "dynamics.json").read_text())["points"]
    history = [row for row in json.loads((job.output / "history.json").read_text()) if "reward" in row]
    assert [point["step"] for point in points] == [0, 2]
    assert all(0 <= point["reward"] <= 1 and 0 <= point["quality"] <= 1 for point in points)
    assert metrics["train/reward"] == history[-1]["reward"]


def test_a_reward_in_parts_logs_each_part(small_base, small_dataset, start, make_job, tmp_path):
    job = make_job()
    train_arm(spec(HeuristicRewardConfig(), steps=1), GRPOInputs(small_base, start, small_dataset, tmp_path), job)
    (row,) = [row for row in json.loads((job.output / "history.json").read_text()) if "reward" in row]
    weights = HeuristicRewardConfig().weights
    parts = {name: row[f"reward_parts/heuristic/{name}"] for name in weights}
    assert sum(weights[name] * part for name, part in parts.items()) == pytest.approx(row["reward"], abs=1e-5)


def test_the_encoder_of_the_base_counts_in_the_relevance(small_base):
    encoder = load_encoder(small_base / "encoder")
    config = HeuristicRewardConfig(weights={"relevance": 1.0})
    pair = (["my garden grew"], ["a garden is work"])
    with_encoder = build_reward(config, None, lambda texts: embed(encoder, texts)).score(*pair).values
    assert not np.allclose(with_encoder, build_reward(config).score(*pair).values)


def test_a_learned_reward_without_its_model_stops_before_training(small_base, small_dataset, start, make_job, tmp_path):
    inputs = GRPOInputs(small_base, start, small_dataset, tmp_path)
    with pytest.raises(ArtifactError, match="no reward model here"):
        train_arm(spec_of(), inputs, make_job())
