"""The promotion rule on files of scores: better, not better, worse where it must not be."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from polymlops.errors import MetricError
from polymlops.evaluation.social import SCORES
from polymlops.tracking.registry_evidence import PromotionEvidence, judge

PROMPTS, CANDIDATES = 40, 10
METRIC = "usq_length_at_10"


def write_scores(folder, arm, seed, *, quality=0.4, passed=0.5, well_formed=0.9, prompts=PROMPTS):
    """Scores of an arm that differs from others by what is asked for, and by a little noise of its own in quality."""
    noise_PK = np.random.default_rng(seed).random((prompts, CANDIDATES))
    own_PK = np.random.default_rng([seed, ord(arm)]).normal(0, 0.02, (prompts, CANDIDATES))
    rows = []
    for prompt in range(prompts):
        for sample, noise in enumerate(noise_PK[prompt]):
            verdict = (bool(noise < passed), quality + own_PK[prompt, sample], "joke", bool(noise < well_formed))
            rows.append((arm, seed, "social", f"p{prompt:02}", sample, *verdict, 0.0, float(sample), "v"))
    folder.mkdir(parents=True)
    pl.DataFrame(rows, schema=SCORES, orient="row").write_parquet(folder / "scores.parquet")
    ids = [f"p{prompt:02}" for prompt in range(prompts)]
    pl.DataFrame({"prompt_id": ids, "vendi": [1.0] * prompts}).write_parquet(folder / "diversity.parquet")
    return folder


@pytest.fixture
def evidence(tmp_path):
    """Makes evidence of an arm with two seeds that differs from its start as asked."""

    def make(kept_step=6, alarm=None, metric=METRIC, **differs):
        adapter = tmp_path / "adapter"
        adapter.mkdir()
        (adapter / "adapter.json").write_text(json.dumps({"kept_step": kept_step, "alarm": alarm}))
        trained = {f"g/{seed}": write_scores(tmp_path / f"g{seed}", "g", seed, **differs) for seed in (1, 2)}
        start = {f"b/{seed}": write_scores(tmp_path / f"b{seed}", "b", seed) for seed in (2, 1)}
        return PromotionEvidence(metric, trained, start, adapter)

    return make


def decided(evidence):
    return judge(evidence, np.random.default_rng(0), 500)


def test_a_better_arm_is_promoted_with_its_interval(evidence):
    decision = decided(evidence(quality=0.6))
    assert decision.promoted, decision.reason
    assert decision.usq_difference.value == pytest.approx(0.2, abs=0.02)
    assert 0.18 < decision.usq_difference.low < decision.usq_difference.high < 0.22
    assert (decision.metric, decision.seeds, decision.usq_difference.n) == (METRIC, 2, PROMPTS)


@pytest.mark.parametrize(
    ("differs", "reason"),
    [
        ({}, "does not lie above 0"),
        ({"quality": 0.3}, "does not lie above 0"),
        ({"quality": 0.6, "passed": 0.2}, "gate pass_at_1"),
        ({"quality": 0.6, "well_formed": 0.5}, "gate well_formed"),
        ({"quality": 0.6, "kept_step": 0, "alarm": {"kind": "kl", "step": 5, "reason": "KL"}}, "gate training_alarm"),
    ],
)
def test_any_other_arm_is_refused_with_the_reason(evidence, differs, reason):
    decision = decided(evidence(**differs))
    assert not decision.promoted
    assert decision.reason.count(reason) == 1
    assert ";" not in decision.reason


def test_scores_that_cannot_be_compared_are_refused(evidence, tmp_path):
    with pytest.raises(MetricError, match="cannot be compared"):
        decided(evidence(prompts=PROMPTS - 1))


def test_a_metric_that_was_not_scored_is_named(evidence):
    with pytest.raises(MetricError, match="there is no usq_reward_at_10"):
        decided(evidence(metric="usq_reward_at_10"))


def test_two_arms_are_not_one(evidence):
    whole = evidence(quality=0.6)
    with pytest.raises(MetricError, match="scores of b, g"):
        decided(PromotionEvidence(METRIC, {**whole.trained, **whole.start}, whole.start, whole.adapter))
