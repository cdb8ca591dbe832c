"""Selectors against going through every subset, and every way that a person may pick."""

from itertools import combinations, permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.config.novel import SelectorSettings
from polymlops.errors import InputError, MetricError
from polymlops.evaluation.candidate_groups import CandidateGroup
from polymlops.evaluation.selector_people import noisy_human_usq, position_biased_usq
from polymlops.evaluation.selector_sets import diversity_first_usq, meaning_distances, subset_members, word_distances
from polymlops.evaluation.selectors import direct_usq, usq_columns, with_rankings
from polymlops.metrics.pass_at_k import max_at_k
from polymlops.metrics.user_selection import usq_at_k
from polymlops.training.rewards import HeuristicReward

QUALITY_PK = np.random.default_rng(5).random((4, 7))
KS = [1, 2, 3, 5, 7]


def subsets_mean(quality_K, k, pick):
    """Mean over the k-subsets of what `pick` makes of one."""
    return np.mean([pick(list(subset)) for subset in combinations(range(len(quality_K)), k)])


@pytest.mark.parametrize("temperature", [0.03, 0.1, 1.0, 50.0])
def test_the_noisy_human_equals_enumeration(temperature):
    found_PM = noisy_human_usq(QUALITY_PK, KS, temperature)
    for p, quality_K in enumerate(QUALITY_PK):

        def softmax_mean(members, quality_K=quality_K):
            weight = np.exp((quality_K[members] - quality_K.max()) / temperature)
            return weight @ quality_K[members] / weight.sum()

        for m, k in enumerate(KS):
            assert found_PM[p, m] == pytest.approx(subsets_mean(quality_K, k, softmax_mean), abs=1e-10)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-5, 5), min_size=3, max_size=9),
    st.integers(1, 9),
    st.floats(0.05, 20),
)
def test_the_noisy_human_lies_between_the_mean_and_the_best(values, k, temperature):
    found = noisy_human_usq([values], k, temperature)[0]
    if k > len(values):
        assert np.isnan(found)
        return
    slack = 1e-9 * (1 + np.ptp(values))
    assert np.mean(values) - slack <= found <= max_at_k([values], k)[0] + slack


def test_a_cold_person_is_the_oracle_and_a_hot_one_chance():
    spread_PK = np.tile(np.linspace(0, 1, 20), (2, 1))
    assert noisy_human_usq(spread_PK, 10, 1 / 500) == pytest.approx(max_at_k(spread_PK, 10), abs=1e-9)
    assert noisy_human_usq(spread_PK, 10, 1e6) == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(MetricError, match="use max@k"):
        noisy_human_usq(spread_PK, 10, 1e-4)
    with pytest.raises(MetricError, match="temperature"):
        noisy_human_usq(spread_PK, 10, 0.0)


def test_prompts_may_have_different_numbers_of_candidates():
    rows = [[0.1, 0.9], [0.2, 0.4, 0.6]]
    found_PM = noisy_human_usq(rows, [1, 3], 0.1)
    assert found_PM[:, 0] == pytest.approx([0.5, 0.4])
    assert np.isnan(found_PM[0, 1])
    assert found_PM[1, 1] > 0.4


@pytest.mark.parametrize("patience", [0.3, 0.7, 1.0])
def test_the_hurried_reader_equals_enumeration_over_orders(patience):
    quality_K = QUALITY_PK[0, :5]

    def read(order):
        found = 0.0
        for last in range(1, len(order) + 1):
            stops = 1.0 if last == len(order) else 1 - patience
            found += patience ** (last - 1) * stops * quality_K[list(order[:last])].max()
        return found

    for k in (1, 2, 4, 5):
        expected = np.mean([read(order) for order in permutations(range(5), k)])
        assert position_biased_usq([quality_K], k, patience)[0] == pytest.approx(expected, abs=1e-12)
    assert position_biased_usq(QUALITY_PK, KS, 1.0) == pytest.approx(max_at_k(QUALITY_PK, KS))
    with pytest.raises(MetricError, match="patience"):
        position_biased_usq(QUALITY_PK, 2, 1.5)


def random_distances(n, seed):
    points = np.random.default_rng(seed).random((n, 3))
    return np.abs(points[:, None] - points[None]).mean(axis=2)


def test_the_most_unlike_equals_enumeration():
    distances = [random_distances(7, p) for p in range(4)]
    found = diversity_first_usq(QUALITY_PK, distances, KS, np.random.default_rng(0))
    for p, (quality_K, distance_KK) in enumerate(zip(QUALITY_PK, distances, strict=True)):

        def unlike(members, quality_K=quality_K, distance_KK=distance_KK):
            apart = distance_KK[np.ix_(members, members)].sum(axis=1)
            return quality_K[members][apart >= apart.max() - 1e-9].mean()

        for m, k in enumerate(KS):
            assert found.values_PM[p, m] == pytest.approx(subsets_mean(quality_K, k, unlike))
    assert (found.error_PM == 0).all()
    assert found.values_PM[:, :2] == pytest.approx(np.tile(QUALITY_PK.mean(axis=1)[:, None], 2))


def test_drawn_subsets_come_near_and_state_their_error():
    quality_PK, distances = np.random.default_rng(1).random((1, 14)), [random_distances(14, 3)]
    exact = diversity_first_usq(quality_PK, distances, [7], np.random.default_rng(0), most=10_000)
    drawn = [
        diversity_first_usq(quality_PK, distances, [7], np.random.default_rng(seed), most=300) for seed in range(40)
    ]
    errors = np.array([item.error_PM[0, 0] for item in drawn])
    off = np.array([item.values_PM[0, 0] for item in drawn]) - exact.values_PM[0, 0]
    assert exact.error_PM[0, 0] == 0
    assert (errors > 0).all()
    assert 0.5 < np.sqrt((off**2).mean()) / errors.mean() < 1.5
    assert np.abs(off).max() < 4 * errors.mean()


def test_more_candidates_than_there_are_is_nan():
    found = diversity_first_usq([[0.1, 0.2]], [np.zeros((2, 2))], [2, 3], np.random.default_rng(0))
    assert found.values_PM[0, 0] == pytest.approx(0.15)
    assert np.isnan(found.values_PM[0, 1])
    assert np.isnan(found.error_PM[0, 1])
    with pytest.raises(MetricError, match="subsets of 3"):
        subset_members(2, 3, np.random.default_rng(0), 10)
    with pytest.raises(MetricError, match="2 candidates"):
        diversity_first_usq([[0.1, 0.2]], [np.zeros((3, 3))], [2], np.random.default_rng(0))
    with pytest.raises(MetricError, match="one each"):
        diversity_first_usq([[0.1, 0.2]], [], [2], np.random.default_rng(0))


def test_distances_of_words_and_of_meaning():
    found = word_distances(["A cat sat", "a CAT ran", "", ""])
    assert found[0, 1] == pytest.approx(1 - 2 / 4)
    assert found[0, 2] == 1
    assert found[2, 3] == 0
    assert np.diag(found) == pytest.approx(0)
    turned = meaning_distances(["x", "y"], lambda texts: np.eye(len(texts)))
    assert turned == pytest.approx(np.array([[0, 1], [1, 0]]))


def group(texts=True):
    quality_PK = np.random.default_rng(2).random((3, 5))
    words = [f"I would take the dog to park {i}, or call a vet" for i in range(15)]
    return CandidateGroup(
        arm="baseline",
        seed=42,
        prompts=("a", "b", "c"),
        n_P=np.full(3, 5),
        passes_P=np.full(3, 2),
        quality_PK=quality_PK,
        judged_by="quality",
        selectors_PK={"length": np.ones((3, 5))},
        texts=pl.Series(words) if texts else None,
    )


def test_random_is_the_mean_and_the_heuristic_that_of_training():
    posts = ["my dog limps", "my dog sleeps", "which vet"]
    found = with_rankings(group(), posts, SelectorSettings())
    assert list(found.selectors_PK) == ["length", "random", "heuristic"]
    assert usq_at_k(found.quality_PK, found.selectors_PK["random"], 3) == pytest.approx(found.quality_PK.mean(axis=1))
    settings = SelectorSettings()
    expected = HeuristicReward(settings.heuristic).score([posts[1]], [found.texts[5]]).values[0]
    assert found.selectors_PK["heuristic"][1, 0] == pytest.approx(expected)
    with pytest.raises(InputError, match="2 posts for 3 prompts"):
        with_rankings(group(), posts[:2], settings)


def test_without_texts_there_is_neither_heuristic_nor_most_unlike():
    assert list(with_rankings(group(texts=False), None, SelectorSettings()).selectors_PK) == ["length", "random"]
    names = [item.selector for item in direct_usq(group(texts=False), [1, 3], SelectorSettings())]
    assert names == ["noisy_human", "position_biased"]


def test_columns_have_the_names_of_the_table():
    found = direct_usq(group(), [1, 3], SelectorSettings())
    columns = usq_columns(found, [1, 3])
    assert set(columns) >= {"usq_diversity_first_at_3", "usq_noisy_human_at_1", "correlation_position_biased"}
    assert columns["usq_diversity_first_at_1"] == pytest.approx(group().quality_PK.mean(axis=1))
    assert np.isnan(columns["correlation_noisy_human"]).all()
