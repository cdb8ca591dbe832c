"""Groups of completions: what passes, what counts as one, and the advantages that follow, against enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from grpo_parts import spec_of

from polymlops.generation.decoding import Candidate
from polymlops.training.grpo_groups import SampledGroups
from polymlops.training.polychromic import lexical_distances

TEXTS = ("Try the soup", "try  the SOUP", "A cat sat down", "A cat sat up", "no no no no", "Why though")
REWARDS = (0.9, 0.8, 0.7, 0.5, 1.0, 0.6)
FINISHED = (True, True, True, True, True, False)


def groups_of(texts=TEXTS, rewards=REWARDS, finished=FINISHED):
    candidates = tuple(Candidate((7,) * (i + 1), -float(i), 0.1, done) for i, done in enumerate(finished))
    distances_GKK = lexical_distances(texts)[None]
    return SampledGroups(np.array(rewards)[None], candidates, tuple(texts), distances_GKK)


def config_of(**changes):
    settings = {"samples": 6, "micro_batch": 18, "objective": "coverage", "k": 2, **changes}
    return spec_of(**settings).grpo


def test_texts_are_one_cluster_where_only_case_and_white_space_differ():
    labels = groups_of().clusters_GK(0.0)[0]
    assert labels[0] == labels[1]
    assert len(set(labels)) == 5


def test_a_cluster_has_no_two_members_further_apart_than_the_distance():
    groups = groups_of()
    for distance in (0.2, 0.5, 0.65, 0.99):
        labels = groups.clusters_GK(distance)[0]
        for i, j in itertools.combinations(range(len(TEXTS)), 2):
            assert labels[i] != labels[j] or groups.distances_GKK[0, i, j] <= distance
    near = groups.clusters_GK(0.65)[0]
    assert near[2] == near[3] != near[0]


@pytest.mark.parametrize("distance", [0.0, 0.65])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_coverage_counts_the_clusters_that_pass(k, distance):
    groups, config = groups_of(), config_of(k=k, coverage_distance=distance, pass_threshold=0.5)
    labels = groups.clusters_GK(distance)[0]
    counted = [0, 1, 2]  # 3 does not lie above the threshold, 4 is junk, 5 was cut off
    sets = list(itertools.combinations(range(6), k))
    values = [len({labels[i] for i in chosen if i in counted}) for chosen in sets]
    exact = [np.mean([v for v, s in zip(values, sets, strict=True) if i in s]) - np.mean(values) for i in range(6)]
    np.testing.assert_allclose(groups.advantages(config)[0], exact, atol=1e-12)
    logged = groups.metrics(groups.advantages(config), config)
    assert logged["passing_share"] == 0.5
    assert logged["passing_clusters"] == 2


def test_coverage_teaches_nothing_where_nothing_passes():
    config = config_of(pass_threshold=2.0)
    assert not groups_of().advantages(config).any()
    logged = groups_of().metrics(groups_of().advantages(config), config)
    assert logged["passing_share"] == logged["passing_clusters"] == 0
    assert logged["advantage_zero_spread_share"] == 1


@pytest.mark.parametrize("baseline", ["mean", "loo", "marginal"])
def test_selecting_by_the_reward_itself_is_max(baseline):
    picked = config_of(objective="selected", selector="reward", k=3, baseline=baseline)
    best = config_of(objective="max", k=3, baseline=baseline)
    np.testing.assert_array_equal(groups_of().advantages(picked), groups_of().advantages(best))
    blind = config_of(objective="selected", selector="length", k=3, baseline=baseline)
    assert np.abs(groups_of().advantages(blind) - groups_of().advantages(best)).max() > 0.01


def test_polychromic_cuts_rewards_off_at_the_floor_and_says_how_many():
    low = config_of(objective="polychromic", reward_floor=0.65)
    cut = groups_of(rewards=[max(reward - 0.65, 0) for reward in REWARDS])
    expected = cut.advantages(config_of(objective="polychromic"))
    np.testing.assert_allclose(groups_of().advantages(low), expected, atol=1e-15)
    assert groups_of().metrics(expected, low)["below_floor_share"] == pytest.approx(2 / 6)
