"""Attention of heads: against sums by hand, at its bounds, and compared with itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from polymlops.analysis.mechanistic import (
    AttentionProfile,
    Passage,
    average_profiles,
    compare_attention,
    measure_attention,
)
from polymlops.analysis.mechanistic_attention import attention_spread
from polymlops.errors import InputError, MetricError


def passages(count=6, length=14, seed=0):
    rng = np.random.default_rng(seed)
    return [Passage(f"p{i}", tuple(int(t) for t in rng.integers(3, 128, length + i)), 5) for i in range(count)]


def causal(rows):
    """(1, T, T) weights from a function of the position."""
    size = len(rows)
    weights = torch.zeros(1, size, size)
    for t, row in enumerate(rows):
        weights[0, t, : t + 1] = torch.tensor(row)
    return weights


def test_even_attention_has_the_largest_entropy_and_the_mean_distance():
    weights = causal([[1 / (t + 1)] * (t + 1) for t in range(6)])
    entropy, normalised, distance = attention_spread(weights, slice(2, 5))[:, 0]
    assert entropy == pytest.approx(np.mean([math.log(t + 1) for t in (2, 3, 4)]), rel=1e-6)
    assert normalised == pytest.approx(1.0, rel=1e-6)
    assert distance == pytest.approx(np.mean([t / 2 for t in (2, 3, 4)]), rel=1e-6)


def test_attention_to_one_token_has_no_entropy_and_its_distance():
    weights = causal([[0.0] * max(0, t - 1) + ([1.0, 0.0] if t else [1.0]) for t in range(6)])  # the token before
    assert attention_spread(weights, slice(1, 5))[:, 0] == pytest.approx([0, 0, 1])


def test_the_first_position_may_not_be_measured():
    with pytest.raises(MetricError, match="itself only"):
        attention_spread(causal([[1.0], [0.5, 0.5]]), slice(0, 2))


def test_a_model_is_measured_as_by_hand_and_left_as_it_was(tiny_model):
    before = tiny_model.config._attn_implementation
    passage = passages(1)[0]
    profile = measure_attention(tiny_model, [passage])
    assert tiny_model.config._attn_implementation == before
    states = {}
    tiny_model.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            out = tiny_model(input_ids=torch.tensor([passage.tokens]), output_attentions=True)
        states = {layer: weights[0].double().numpy() for layer, weights in enumerate(out.attentions)}
    finally:
        tiny_model.set_attn_implementation(before)
    for layer, weights_HTT in states.items():
        for head, rows in enumerate(weights_HTT):
            at = range(passage.start, len(passage.tokens) - 1)
            entropy = [-sum(p * math.log(p) for p in rows[t] if p > 0) for t in at]
            distance = [sum(rows[t][j] * (t - j) for j in range(t + 1)) for t in at]
            assert profile.entropy_PLH[0, layer, head] == pytest.approx(np.mean(entropy), rel=1e-6)
            assert profile.distance_PLH[0, layer, head] == pytest.approx(np.mean(distance), rel=1e-6)
    assert profile.normalised_entropy_PLH.min() >= 0
    assert profile.normalised_entropy_PLH.max() <= 1


def test_a_model_does_not_differ_from_itself(tiny_model):
    profile = measure_attention(tiny_model, passages())
    compared = compare_attention(("a", profile), ("b", profile), np.random.default_rng(0))
    assert len(compared.rows()) == 3 * 2 * 2
    assert not any(row["excludes_zero"] for row in compared.rows())
    assert "no head" in compared.sentence("entropy")


def test_the_head_that_changed_is_named():
    rng = np.random.default_rng(0)
    values = rng.normal(2, 0.1, (20, 3, 2))
    changed = values + rng.normal(0, 0.01, values.shape)
    changed[:, 2, 1] -= 0.5
    ids = tuple(f"p{i}" for i in range(20))
    a, b = (AttentionProfile(ids, x, x / 4, x * 0) for x in (values, changed))
    compared = compare_attention(("sft", a), ("grpo", b), np.random.default_rng(1))
    found = {(row["layer"], row["head"]) for row in compared.rows() if row["excludes_zero"]}
    assert found == {(2, 1)}
    assert "lower in 1 of 6 heads, most in layer 2 head 1" in compared.sentence("entropy")
    assert "no head" in compared.sentence("distance")


def test_seeds_are_averaged_and_prompts_must_agree(tiny_model):
    profile = measure_attention(tiny_model, passages())
    assert average_profiles([profile, profile]).distance_PLH == pytest.approx(profile.distance_PLH)
    other = measure_attention(tiny_model, passages(5))
    with pytest.raises(InputError, match="same prompts"):
        average_profiles([profile, other])
    with pytest.raises(InputError, match="same prompts"):
        compare_attention(("a", profile), ("b", other), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no passage"),
        ([Passage("p", (3, 4, 5, 6), 1)] * 2, "given twice"),
        ([Passage("p", (3, 4, 5), 2)], "leaves no reply"),
        ([Passage("p", (3, 4, 5), 0)], "no prompt"),
    ],
)
def test_passages_that_cannot_be_measured(tiny_model, given, message):
    with pytest.raises(InputError, match=message):
        measure_attention(tiny_model, given)
