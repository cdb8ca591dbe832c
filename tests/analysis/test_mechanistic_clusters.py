"""Clusters of hidden states: planted ones are found, noise is not, and states are those of the candidate's tokens."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from polymlops.analysis.mechanistic import CandidateGroup, cluster_states, summarise_clusters
from polymlops.analysis.mechanistic_clusters import ClusterProfile, candidate_states, count_clusters
from polymlops.errors import InputError


def distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


@pytest.mark.parametrize("clusters", [2, 3, 4])
def test_planted_clusters_are_counted(clusters):
    rng = np.random.default_rng(clusters)
    centres = rng.normal(size=(clusters, 8)) * 5
    planted = np.repeat(np.arange(clusters), 3)
    found, labels = count_clusters(distances(centres[planted] + rng.normal(size=(len(planted), 8)) * 0.2))
    assert found == clusters
    together = planted[:, None] == planted[None]
    assert ((labels[:, None] == labels[None]) == together).all()


def test_points_without_structure_are_one_cluster():
    found, labels = count_clusters(distances(np.eye(8)))  # all equally far apart
    assert found == 1
    assert set(labels) == {1}


def group(name, replies, intents, prompt=(5, 6, 7)):
    return CandidateGroup(name, prompt, tuple(replies), tuple(intents))


def test_states_are_of_the_candidates_own_tokens_whatever_else_is_in_the_batch(tiny_model):
    replies = [(9, 10, 2), (20, 21, 22, 23, 2), (30, 2)]
    together = candidate_states(tiny_model, group("p", replies, "abc"))
    assert together.shape == (3, 3, 32)
    for index, reply in enumerate(replies):
        alone = candidate_states(tiny_model, group("p", [reply], "a"))
        assert together[:, index] == pytest.approx(alone[:, 0], abs=1e-4)
    with torch.no_grad():
        embedded = tiny_model.model.embed_tokens(torch.tensor([30, 2])).double()
    scaled = embedded / embedded.pow(2).mean(-1, keepdim=True).sqrt()
    assert together[0, 2] == pytest.approx(scaled.mean(0).numpy(), abs=1e-5)


def test_replies_of_two_vocabularies_part_by_intent(tiny_model):
    rng = np.random.default_rng(0)
    replies = [tuple(int(t) for t in rng.choice(low + np.arange(4), 6)) for low in (40, 90) for _ in range(4)]
    profile = cluster_states(tiny_model, [group("p", replies, ["joke"] * 4 + ["tip"] * 4)])
    assert profile.silhouette_PL[0, 0] > 0.1
    assert profile.intents_P[0] == 2
    swapped = cluster_states(tiny_model, [group("p", replies, ["joke", "tip"] * 4)])
    assert swapped.silhouette_PL[0, 0] < profile.silhouette_PL[0, 0]
    assert swapped.found_PL == pytest.approx(profile.found_PL)


def test_copies_and_candidates_without_an_intent_count_once_or_not_at_all(tiny_model):
    replies = [(9, 2), (9, 2), (10, 2), (), (11, 2)]
    profile = cluster_states(tiny_model, [group("p", replies, ["joke", "joke", "tip", "tip", ""])])
    assert (profile.distinct_P[0], profile.intents_P[0]) == (2, 2)
    assert np.isnan(profile.found_PL).all()
    assert np.isnan(profile.silhouette_PL).all()


def test_a_prompt_without_candidates_is_undefined_beside_the_others(tiny_model):
    full = group("p", [(9, 2), (10, 2), (60, 61, 2), (62, 2)], ["joke", "joke", "tip", "tip"])
    profile = cluster_states(tiny_model, [group("q", [(9, 2)], [""]), full])
    assert np.isnan(profile.silhouette_PL[0]).all()
    assert not np.isnan(profile.silhouette_PL[1]).any()
    summary = summarise_clusters("baseline", [profile], np.random.default_rng(0))
    assert summary.undefined == 1
    assert [row["prompts"] for row in summary.rows()] == [1, 1, 1]


def profile_of(silhouette, found, intents):
    ids = tuple(f"p{i}" for i in range(len(intents)))
    return ClusterProfile(ids, silhouette, found, silhouette, np.array(intents, float), np.full(len(intents), 8.0))


def test_the_summary_says_where_intents_part_and_how_many_clusters_there_are():
    rng = np.random.default_rng(0)
    silhouette = rng.normal([0.0, 0.4, 0.1], 0.05, (20, 3))
    found = np.full((20, 3), 4.0)
    summary = summarise_clusters("baseline", [profile_of(silhouette, found, [3] * 20)] * 2, np.random.default_rng(1))
    assert "part best at layer 1" in summary.sentence
    assert "4.00 clusters for 3.00 true intents" in summary.sentence
    assert [layer.excess.value for layer in summary.layers] == [1, 1, 1]
    nothing = summarise_clusters("x", [profile_of(np.full((6, 2), np.nan), np.ones((6, 2)), [1] * 6)], rng)
    assert "no prompt has enough" in nothing.sentence
    assert math.isnan(nothing.layers[0].found)
    noise = rng.normal(-0.1, 0.05, (20, 2))
    assert "beyond chance" in summarise_clusters("x", [profile_of(noise, found[:, :2], [3] * 20)], rng).sentence


def test_bad_groups(tiny_model):
    with pytest.raises(InputError, match="at least one prompt"):
        cluster_states(tiny_model, [])
    twice = group("p", [(9, 2)], ["joke"])
    with pytest.raises(InputError, match="each prompt once"):
        cluster_states(tiny_model, [twice, twice])
    with pytest.raises(InputError, match="baseline"):
        summarise_clusters("baseline", [], np.random.default_rng(0))
