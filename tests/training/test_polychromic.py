"""The diversity term has a gradient, and it is the right one: by enumeration, by sampling, and on a real trainer."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymlops.config.schema import PolychromicConfig
from polymlops.generation.decoding import Decoding, sample_candidates
from polymlops.training.polychromic import (
    DiversityTerm,
    cosine_distances,
    is_junk,
    lexical_distances,
    sequence_log_probs,
    set_advantages,
)

ACTIONS, END = 4, 4
DISTANCES = np.array([[0.0, 0.1, 0.9, 0.5], [0.1, 0.0, 0.7, 0.3], [0.9, 0.7, 0.0, 1.0], [0.5, 0.3, 1.0, 0.0]])


class CategoricalPolicy(torch.nn.Module):
    """Writes one of four words, then always ends: small enough to enumerate, and a causal LM to the sampler."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits))
        self.generation_config = SimpleNamespace(eos_token_id=END, pad_token_id=0)

    def forward(self, input_ids, past_key_values=None, logits_to_keep=0, **_):
        first = past_key_values is None
        kept = input_ids[:, -logits_to_keep:] if logits_to_keep else input_ids
        prompt_length = input_ids.shape[1] - kept.shape[1] if first else 0
        word = torch.cat([self.logits, self.logits.new_full((1,), -torch.inf)])
        end = torch.full_like(word, -torch.inf)
        end[END] = 0
        position = torch.arange(kept.shape[1]) + prompt_length
        # Prompts have one token: the word comes after position 0, the end after position 1.
        is_word = (position == 0) if first else torch.zeros(kept.shape[1], dtype=torch.bool)
        logits = torch.where(is_word[None, :, None], word[None, None], end[None, None])
        return SimpleNamespace(logits=logits.expand(len(kept), -1, -1), past_key_values=_NoCache())


class _NoCache:
    def batch_repeat_interleave(self, repeats): ...

    def batch_select_indices(self, indices): ...


def exact_gradient(logits, n):
    theta = torch.tensor(logits, requires_grad=True, dtype=torch.float64)
    p = torch.softmax(theta, 0)
    expected = sum(
        torch.stack([p[a] for a in actions]).prod() * _diversity(actions)
        for actions in itertools.product(range(ACTIONS), repeat=n)
    )
    expected.backward()
    return theta.grad.numpy()


def _diversity(actions):
    return float(np.mean([DISTANCES[a, b] for a, b in itertools.permutations(actions, 2)]))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_expected_estimator_is_the_exact_gradient(n):
    logits = [0.3, -0.5, 0.1, 0.8]
    p = torch.softmax(torch.tensor(logits, dtype=torch.float64), 0).numpy()
    scores = np.eye(ACTIONS) - p  # gradient of log p_a with respect to the logits
    mean = np.zeros(ACTIONS)
    for actions in itertools.product(range(ACTIONS), repeat=n):
        result = set_advantages(DISTANCES[np.ix_(actions, actions)], np.ones(n, dtype=bool))
        mean += np.prod(p[list(actions)]) * (result.advantages_N @ scores[list(actions)])
    np.testing.assert_allclose(mean, exact_gradient(logits, n), atol=1e-12)


def test_the_sampled_surrogate_converges_to_the_exact_gradient():
    logits = [0.3, -0.5, 0.1, 0.8]
    policy = CategoricalPolicy(logits)
    config = PolychromicConfig(samples=4, prompts=400, max_new_tokens=3)
    term = DiversityTerm(config, lambda tokens: f"word{tokens[0]}", _table_distances)
    draws = []
    for step in range(10):
        policy.zero_grad()
        term.step(policy, [[0]] * config.prompts, seed=1, step=step).surrogate.backward()
        draws.append(-policy.logits.grad.numpy())
    mean, error = np.mean(draws, 0), np.std(draws, 0, ddof=1) / np.sqrt(len(draws))
    exact = exact_gradient(logits, config.samples)
    assert np.all(np.abs(mean - exact) < 5 * error)
    assert mean @ exact / np.linalg.norm(mean) / np.linalg.norm(exact) > 0.99


def test_the_detached_control_has_no_gradient():
    policy = CategoricalPolicy([0.3, -0.5, 0.1, 0.8])
    term = DiversityTerm(
        PolychromicConfig(samples=4, detached=True), lambda tokens: f"word{tokens[0]}", _table_distances
    )
    result = term.step(policy, [[0]] * 8, seed=1, step=0)
    assert not result.surrogate.requires_grad
    assert result.surrogate.item() == pytest.approx(-result.diversity)


@pytest.mark.parametrize("detached", [True, False])
def test_sets_without_two_valid_members_add_nothing_and_have_no_diversity(detached):
    policy = CategoricalPolicy([0.3, -0.5, 0.1, 0.8])
    term = DiversityTerm(
        PolychromicConfig(samples=4, detached=detached), lambda tokens: "", lambda texts: np.zeros((4, 4))
    )
    result = term.step(policy, [[0]] * 3, seed=1, step=0)
    assert result.surrogate.item() == 0
    assert np.isnan(result.diversity)
    assert result.valid_share == 0


def _table_distances(texts):
    index = [int(text.removeprefix("word")) for text in texts]
    return DISTANCES[np.ix_(index, index)]


@given(st.lists(st.integers(0, ACTIONS - 1), min_size=2, max_size=6), st.data())
def test_advantages_are_the_stated_formula_over_the_valid_members(actions, data):
    valid = np.array(data.draw(st.lists(st.booleans(), min_size=len(actions), max_size=len(actions))))
    result = set_advantages(DISTANCES[np.ix_(actions, actions)], valid)
    kept = [action for action, ok in zip(actions, valid, strict=True) if ok]
    if len(kept) < 2:
        assert np.isnan(result.diversity)
        assert not result.advantages_N.any()
        return
    expected = []
    for i in range(len(kept)):
        others = kept[:i] + kept[i + 1 :]
        expected.append(_diversity(kept) - (_diversity(others) if len(others) > 1 else 0.0))
    assert result.diversity == pytest.approx(_diversity(kept))
    np.testing.assert_allclose(result.advantages_N[valid], expected, atol=1e-12)
    assert not result.advantages_N[~valid].any()


def test_log_probabilities_match_the_sampler(tiny_model):
    prompts = [[5, 9, 12], [7, 8, 9, 10, 11]]
    groups = sample_candidates(tiny_model, prompts, [1, 2], 3, Decoding(1.0, 1.0, 0, 12))
    repeated = [prompt for prompt in prompts for _ in range(3)]
    flat = [candidate for group in groups for candidate in group]
    values = sequence_log_probs(tiny_model, repeated, flat, temperature=1.0)
    assert values.requires_grad
    np.testing.assert_allclose(values.detach().numpy(), [c.logprob for c in flat], rtol=1e-4)


def test_a_step_leaves_the_random_state_and_the_mode_alone(tiny_model):
    term = DiversityTerm(PolychromicConfig(samples=3, max_new_tokens=6), str, lexical_distances)
    tiny_model.train()
    before = torch.get_rng_state()
    term.step(tiny_model, [[5, 9, 12]], seed=3, step=0)
    assert torch.equal(before, torch.get_rng_state())
    assert tiny_model.training
    tiny_model.eval()


@pytest.mark.parametrize(
    ("text", "junk"), [("", True), ("  ", True), ("ha ha ha ha ha ha", True), ("\ufffd b c d", True)]
)
def test_junk(text, junk):
    assert is_junk(text) is junk
    assert not is_junk("try to keep the mug near the garden until monday.")


def test_distances_are_bounded_and_zero_for_the_same_text():
    texts = ["a b c", "a b c", "x y z", "a x"]
    distances = lexical_distances(texts)
    assert distances[0, 1] == 0
    assert distances[0, 2] == 1
    assert 0 < distances[0, 3] < 1
    embeddings = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(cosine_distances(embeddings)[0], [0, 0, 1, 1])
