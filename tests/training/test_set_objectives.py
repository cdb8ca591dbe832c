"""Set objectives against their definitions: every subset, every tuple of a small policy, and the published forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.metrics.pass_at_k import max_at_k, pass_at_k
from polymlops.metrics.semantic import distinct_at_k
from polymlops.metrics.user_selection import usq_at_k
from polymlops.training.set_objectives import (
    AdvantageReport,
    advantage_report,
    advantages,
    pass_at_k_scaling,
)

ACTIONS, SAMPLES = 4, 4
BASELINES = ["mean", "loo", "marginal"]
# Objective and, where it has one, the kind of diversity.
CASES = [
    ("mean", None),
    ("max", None),
    ("selected", None),
    ("polychromic", "distances"),
    ("polychromic", "labels"),
    ("diversity", "distances"),
    ("diversity", "labels"),
    ("coverage", "labels"),
]
few = settings(deadline=None, max_examples=5, derandomize=True)


def set_value(case, group, members):
    """The definition of f(S), from the rewards, selector scores, distances, labels and validity of a group."""
    objective, kind = case
    members = list(members)
    if not members:
        return 0.0
    rewards = group["rewards"][members]
    valid = [i for i in members if group["valid"][i]]
    match objective:
        case "mean":
            return rewards.mean()
        case "max":
            return rewards.max()
        case "selected":
            scores = group["selector"][members]
            return rewards[scores == scores.max()].mean()
        case "coverage":
            return float(len({group["labels"][i] for i in valid if group["passed"][i]}))
    if len(valid) < 2:
        diversity = 0.0
    elif kind == "distances":
        diversity = np.mean([group["distances"][i, j] for i, j in itertools.permutations(valid, 2)])
    else:
        diversity = len({group["labels"][i] for i in valid}) / len(valid)
    return diversity if objective == "diversity" else rewards.mean() * diversity


def by_enumeration(case, group, k, baseline):
    """The three advantages as the mean over subsets that defines them."""
    n = len(group["rewards"])
    values = {s: set_value(case, group, s) for size in (k - 1, k) for s in itertools.combinations(range(n), size)}
    sets = list(itertools.combinations(range(n), k))
    result = []
    for i in range(n):
        containing = [s for s in sets if i in s]
        if baseline == "marginal":
            result.append(np.mean([values[s] - values[tuple(j for j in s if j != i)] for s in containing]))
            continue
        others = sets if baseline == "mean" else [s for s in sets if i not in s]
        result.append(np.mean([values[s] for s in containing]) - np.mean([values[s] for s in others]))
    return np.array(result)


def random_group(rng, n):
    """Continuous rewards, ties in the selector, a few clusters, some junk; `passed` for coverage."""
    distances = rng.uniform(0, 1, (n, n))
    distances = (distances + distances.T) / 2
    np.fill_diagonal(distances, 0)
    return {
        "rewards": rng.uniform(0, 1, n),
        "passed": rng.random(n) < 0.6,
        "selector": rng.integers(0, 4, n).astype(float),
        "distances": distances,
        "labels": rng.integers(0, 4, n),
        "valid": rng.random(n) < rng.choice([0.0, 0.4, 0.8, 1.0]),
    }


def ours(case, groups, k, baseline):
    """The engine on a list of groups of one size."""
    objective, kind = case
    stacked = {name: np.stack([group[name] for group in groups]) for name in groups[0]}
    return advantages(
        stacked["passed"] if objective == "coverage" else stacked["rewards"],
        objective,
        k,
        baseline,
        diversity=stacked[kind] if kind else None,
        selector_GK=stacked["selector"],
        valid_GK=stacked["valid"],
    )


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_closed_forms_are_the_means_over_subsets(case, baseline):
    rng = np.random.default_rng(7)
    for n, k in [(1, 1), (2, 2), (5, 1), (5, 2), (5, 3), (7, 4), (8, 4), (8, 7), (6, 6)]:
        if baseline == "loo" and k == n:
            continue
        groups = [random_group(rng, n) for _ in range(12)]
        expected = np.stack([by_enumeration(case, group, k, baseline) for group in groups])
        np.testing.assert_allclose(ours(case, groups, k, baseline), expected, atol=1e-12)


logits_of_actions = st.lists(st.floats(-3, 3), min_size=ACTIONS, max_size=ACTIONS)


@pytest.mark.parametrize(
    ("k", "baseline"), [pair for pair in itertools.product([1, 2, 3, 4], BASELINES) if pair != (4, "loo")]
)
@pytest.mark.parametrize("case", CASES, ids=str)
@few
@given(logits=logits_of_actions, seed=st.integers(0, 2**32 - 1))
def test_the_expected_estimate_is_the_exact_gradient_times_the_constant(case, k, baseline, logits, seed):
    table = random_group(np.random.default_rng(seed), ACTIONS)
    p, scores = policy(logits)
    tuples = np.array(list(itertools.product(range(ACTIONS), repeat=SAMPLES)))
    advantages_GK = ours(case, [drawn(table, actions) for actions in tuples], k, baseline)
    # (1/K) sum_i A_i grad log pi_i, weighted with the chance of the tuple.
    estimate = np.einsum("g,gk,gka->a", p[tuples].prod(1), advantages_GK, scores[tuples]) / SAMPLES
    constant = (1 - k / SAMPLES) / k if baseline == "mean" else 1 / k
    value = lambda actions: set_value(case, drawn(table, actions), range(k))  # noqa: E731  # a definition in one line
    np.testing.assert_allclose(estimate, constant * exact_gradient(p, scores, k, value), atol=1e-10)


def policy(logits):
    """Probabilities of the actions, and the gradient of log p_a with respect to the logits in row a."""
    weights = np.exp(np.array(logits) - max(logits))
    p = weights / weights.sum()
    return p, np.eye(ACTIONS) - p


def drawn(table, actions):
    """The group that a policy makes when it takes these actions: what is known of an action is known of its samples."""
    index = np.array(actions)
    return {name: v[np.ix_(index, index)] if name == "distances" else v[index] for name, v in table.items()}


def exact_gradient(p, scores, k, value):
    """Gradient of E[f(k i.i.d. actions)], by all k-tuples."""
    total = np.zeros(ACTIONS)
    for actions in itertools.product(range(ACTIONS), repeat=k):
        total += np.prod(p[list(actions)]) * value(actions) * scores[list(actions)].sum(0)
    return total


@pytest.mark.parametrize("k", [1, 2, 3])
def test_selected_climbs_the_expected_usq(k):
    quality, selector = np.array([0.2, 0.9, 0.4, 0.7]), np.array([0.5, 0.1, 0.5, 0.8])
    logits = np.array([0.3, -0.5, 0.1, 0.8])
    tuples = np.array(list(itertools.product(range(ACTIONS), repeat=SAMPLES)))
    # USQ@k as it is reported: estimated from K samples, averaged over the policy.
    usq_G = usq_at_k(quality[tuples], selector[tuples], k)

    def expected_usq(at):
        return float(policy(at)[0][tuples].prod(1) @ usq_G)

    step = 1e-5
    numeric = [
        (expected_usq(logits + step * e) - expected_usq(logits - step * e)) / (2 * step) for e in np.eye(ACTIONS)
    ]
    p, scores = policy(logits)
    for baseline in ("loo", "marginal"):
        values_GK = advantages(quality[tuples], "selected", k, baseline, selector_GK=selector[tuples])
        estimate = k * np.einsum("g,gk,gka->a", p[tuples].prod(1), values_GK, scores[tuples]) / SAMPLES
        np.testing.assert_allclose(estimate, numeric, atol=1e-9)


def test_ascent_on_selected_keeps_a_choice_where_the_mean_plays_safe():
    # Two kinds of users who cannot be told apart: each loves one action, hates the other's, and finds the third fair.
    quality_UA = np.array([[1.0, 0.0, 0.6, 0.1], [0.0, 1.0, 0.6, 0.1]])
    tuples = np.array(list(itertools.product(range(ACTIONS), repeat=SAMPLES)))
    quality_GK = quality_UA[:, tuples].reshape(-1, SAMPLES)
    users_tuples = np.tile(tuples, (2, 1))

    def trained(objective, k):
        values_GK = advantages(quality_GK, objective, k, "loo", selector_GK=quality_GK)
        logits = np.zeros(ACTIONS)
        for _ in range(400):
            p, scores = policy(logits)
            logits += 2 * np.einsum("g,gk,gka->a", p[users_tuples].prod(1), values_GK, scores[users_tuples]) / SAMPLES
        return p, float(p[users_tuples].prod(1) @ usq_at_k(quality_GK, quality_GK, 3)) / 2

    safe_p, safe_usq = trained("mean", 1)
    choice_p, choice_usq = trained("selected", 3)
    assert safe_p.argmax() == 2
    assert safe_p[2] > 0.95
    assert min(choice_p[0], choice_p[1]) > 0.3
    assert choice_usq > safe_usq + 0.2


@pytest.mark.parametrize("case", CASES, ids=str)
def test_baselines_are_tied_to_one_another(case):
    rng = np.random.default_rng(3)
    groups = [random_group(rng, 8) for _ in range(50)]
    for k in (1, 3, 7):
        mean, loo = (ours(case, groups, k, baseline) for baseline in ("mean", "loo"))
        np.testing.assert_allclose(mean, (1 - k / 8) * loo, atol=1e-14)
        np.testing.assert_allclose(mean.sum(1), 0, atol=1e-12)
        np.testing.assert_allclose(loo.sum(1), 0, atol=1e-12)
    np.testing.assert_allclose(ours(case, groups, 8, "mean"), 0, atol=1e-12)


def test_mean_of_single_samples_is_grpo_without_scaling():
    rewards_GK = np.random.default_rng(0).normal(size=(20, 8))
    centred_GK = rewards_GK - rewards_GK.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(advantages(rewards_GK, "mean", 1, "mean"), centred_GK, atol=1e-15)
    np.testing.assert_allclose(advantages(rewards_GK, "mean", 1, "loo"), centred_GK * 8 / 7, atol=1e-14)
    np.testing.assert_array_equal(advantages(rewards_GK, "mean", 1, "marginal"), rewards_GK)


@pytest.mark.parametrize("baseline", BASELINES)
def test_selected_by_the_reward_itself_is_max(baseline):
    rewards_GK = np.random.default_rng(1).integers(0, 5, (50, 8)).astype(float)
    for k in (1, 4, 7):
        selected_GK = advantages(rewards_GK, "selected", k, baseline, selector_GK=rewards_GK)
        np.testing.assert_array_equal(selected_GK, advantages(rewards_GK, "max", k, baseline))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_in_the_only_set_a_member_is_worth_what_usq_loses_without_it(k):
    rng = np.random.default_rng(5)
    quality_GK, selector_GK = rng.uniform(size=(30, k)), rng.integers(0, 3, (30, k)).astype(float)
    for i in range(k):
        rest = [j for j in range(k) if j != i]
        without = usq_at_k(quality_GK[:, rest], selector_GK[:, rest], k - 1) if k > 1 else 0.0
        expected = usq_at_k(quality_GK, selector_GK, k) - without
        marginal_GK = advantages(quality_GK, "selected", k, "marginal", selector_GK=selector_GK)
        np.testing.assert_allclose(marginal_GK[:, i], expected, atol=1e-14)


@pytest.mark.parametrize("k", [2, 5])
def test_loo_is_what_the_metrics_lose_without_a_sample(k):
    # The metric of all samples is k/K of the sets with i and 1-k/K of those without, hence the factor.
    rng = np.random.default_rng(6)
    rewards_GK, labels_GK, passed_GK = rng.normal(size=(30, 9)), rng.integers(0, 4, (30, 9)), rng.random((30, 9)) < 0.5
    for i in (0, 8):
        rest = [j for j in range(9) if j != i]
        for value, whole, without in [
            (advantages(rewards_GK, "max", k, "loo"), max_at_k(rewards_GK, k), max_at_k(rewards_GK[:, rest], k)),
            (
                advantages(passed_GK, "coverage", k, "loo", labels_GK),
                distinct_at_k(labels_GK, k, passed_GK),
                distinct_at_k(labels_GK[:, rest], k, passed_GK[:, rest]),
            ),
        ]:
            np.testing.assert_allclose(value[:, i] * k / 9, whole - without, atol=1e-12)


@pytest.mark.parametrize(("samples", "k"), [(8, 1), (8, 4), (8, 8), (32, 8)])
def test_pass_at_k_scaling_is_the_published_closed_form(samples, k):
    for negatives in range(samples + 1):
        rewards = np.array([0.0] * negatives + [1.0] * (samples - negatives))
        passing = 1 - math.comb(negatives, k) / math.comb(samples, k)
        sigma = math.sqrt(passing * (1 - passing))
        result = pass_at_k_scaling(rewards[None], k)[0]
        assert passing == pytest.approx(float(pass_at_k(samples, samples - negatives, k)), abs=1e-12)
        if sigma == 0:
            assert not result.any()
            continue
        negative = (1 - passing - math.comb(negatives - 1, k - 1) / math.comb(samples - 1, k - 1)) / sigma
        np.testing.assert_allclose(result[:negatives], negative, atol=1e-10)
        np.testing.assert_allclose(result[negatives:], (1 - passing) / sigma, atol=1e-10)
        unscaled = advantages(rewards[None], "max", k, "mean")[0]
        np.testing.assert_allclose(result, unscaled / sigma, atol=1e-12)


@pytest.mark.parametrize("baseline", BASELINES[:2])
@pytest.mark.parametrize("objective", ["mean", "max", "selected"])
def test_equal_rewards_teach_nothing_at_all(objective, baseline):
    result = advantages(np.full((3, 7), 0.1), objective, 3, baseline, selector_GK=np.zeros((3, 7)))
    assert not result.any()


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("case", [case for case in CASES if case[1]], ids=str)
def test_a_group_of_junk_has_no_diversity(case, baseline):
    group = random_group(np.random.default_rng(2), 6) | {"valid": np.zeros(6, dtype=bool)}
    assert not ours(case, [group], 3, baseline).any()


def test_what_is_not_valid_is_not_read():
    rng = np.random.default_rng(4)
    group = random_group(rng, 6) | {"valid": np.array([True] * 4 + [False] * 2)}
    expected = ours(("polychromic", "distances"), [group], 3, "loo")
    group["distances"][4:] = np.nan
    group["distances"][:, 5] = 7.0
    np.fill_diagonal(group["distances"], np.nan)
    np.testing.assert_array_equal(ours(("polychromic", "distances"), [group], 3, "loo"), expected)


def test_single_candidates_have_no_diversity():
    distances_GKK = np.random.default_rng(0).uniform(size=(2, 5, 5))
    for baseline in BASELINES:
        assert not advantages(np.ones((2, 5)), "diversity", 1, baseline, distances_GKK).any()


def test_labels_may_be_words_and_distances_one_sided():
    labels = np.array([["joke", "tip", "joke", "story"]])
    codes = np.array([[0, 1, 0, 2]])
    rewards = np.ones((1, 4))
    np.testing.assert_array_equal(
        advantages(rewards, "diversity", 2, "loo", labels), advantages(rewards, "diversity", 2, "loo", codes)
    )
    one_sided = np.triu(np.random.default_rng(0).uniform(size=(1, 4, 4)), 1)
    both = (one_sided + one_sided.transpose(0, 2, 1)) / 2
    np.testing.assert_allclose(
        advantages(rewards, "diversity", 2, "loo", one_sided), advantages(rewards, "diversity", 2, "loo", both)
    )


def test_an_infinite_selector_score_still_ranks():
    rewards_GK, finite_GK = np.array([[0.1, 0.7, 0.4, 0.2]]), np.array([[-9.0, 9.0, 1.0, -9.0]])
    infinite_GK = np.where(np.abs(finite_GK) == 9, np.copysign(np.inf, finite_GK), finite_GK)
    np.testing.assert_array_equal(
        advantages(rewards_GK, "selected", 2, "loo", selector_GK=infinite_GK),
        advantages(rewards_GK, "selected", 2, "loo", selector_GK=finite_GK),
    )


def test_large_groups_stay_exact():
    rewards_GK = np.random.default_rng(0).normal(size=(2, 400))
    result_GK = advantages(rewards_GK, "max", 150, "loo")
    rest = [j for j in range(400) if j != 7]
    expected = max_at_k(rewards_GK, 150) - max_at_k(rewards_GK[:, rest], 150)
    np.testing.assert_allclose(result_GK[:, 7] * 150 / 400, expected, atol=1e-10)


def test_report_counts_silent_groups_and_pushes_against_the_reward():
    rewards_GK = np.array([[1.0, 0.0, 1.0, 0.0], [0.5, 0.5, 0.5, 0.5]])
    advantages_GK = np.array([[-0.1, 0.2, 0.3, -0.4], [0.0, 0.0, 1e-17, 0.0]])
    assert advantage_report(advantages_GK, rewards_GK) == AdvantageReport(2, 0.5, 0.25)
    empty = advantage_report(np.empty((0, 4)), np.empty((0, 4)))
    assert empty.groups == 0
    assert math.isnan(empty.zero_spread_share)


def test_no_groups_have_no_advantages():
    for case in CASES:
        diversity = {"distances": np.empty((0, 4, 4)), "labels": np.empty((0, 4), dtype=int), None: None}[case[1]]
        result = advantages(np.empty((0, 4)), case[0], 2, "loo", diversity, np.empty((0, 4)))
        assert result.shape == (0, 4)
