"""The sampler: independent of the batch, true to the distribution, and equal to transformers where it is greedy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from polymlops.generation.decoding import Decoding, _draw, prompt_key, sample_candidates, uniforms

DECODING = Decoding(temperature=0.9, top_p=0.95, top_k=0, max_new_tokens=16)
PROMPTS = [[5, 9, 12], [7, 8, 9, 10, 11, 40, 41], [100], [3, 3, 3, 3], [60, 61]]


def tokens_of(groups):
    return [[candidate.tokens for candidate in group] for group in groups]


def test_what_a_prompt_gets_does_not_depend_on_the_batch(tiny_model):
    keys = [prompt_key(0, str(i)) for i in range(len(PROMPTS))]
    together = sample_candidates(tiny_model, PROMPTS, keys, 6, DECODING)
    alone = [sample_candidates(tiny_model, [p], [k], 6, DECODING)[0] for p, k in zip(PROMPTS, keys, strict=True)]
    assert tokens_of(together) == tokens_of(alone)
    reversed_order = sample_candidates(tiny_model, PROMPTS[::-1], keys[::-1], 6, DECODING)
    assert tokens_of(reversed_order)[::-1] == tokens_of(together)


def test_more_candidates_begin_with_the_fewer(tiny_model):
    few = sample_candidates(tiny_model, PROMPTS[:2], [1, 2], 3, DECODING)
    many = sample_candidates(tiny_model, PROMPTS[:2], [1, 2], 8, DECODING)
    assert [group[:3] for group in tokens_of(many)] == tokens_of(few)


def test_a_cold_sampler_is_greedy_decoding_of_transformers(tiny_model):
    cold = Decoding(temperature=1e-4, top_p=1.0, top_k=0, max_new_tokens=10)
    ours = sample_candidates(tiny_model, PROMPTS, range(len(PROMPTS)), 1, cold)
    for prompt, group in zip(PROMPTS, ours, strict=True):
        ids = torch.tensor([prompt])
        theirs = tiny_model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=10, top_k=None
        )[0, len(prompt) :]
        assert list(group[0].tokens) == theirs.tolist()


def test_log_probability_and_entropy_are_the_models_own(tiny_model):
    [group] = sample_candidates(tiny_model, [[5, 9, 12]], [4], 4, DECODING)
    for candidate in group:
        ids = torch.tensor([[5, 9, 12, *candidate.tokens]])
        with torch.no_grad():
            log_probs = torch.log_softmax(tiny_model(ids).logits[0, 2:-1].double(), -1)
        own = log_probs.gather(1, torch.tensor(candidate.tokens)[:, None]).sum().item()
        assert candidate.logprob == pytest.approx(own, rel=1e-4)
        entropy = -(log_probs.exp() * log_probs).sum(1).mean().item()
        assert candidate.entropy == pytest.approx(entropy, rel=1e-4)


def test_draws_follow_the_truncated_distribution():
    probabilities = torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03])
    rows = 40_000
    log_probs = probabilities.log().double().expand(rows, -1)
    draws = torch.from_numpy(uniforms(7, rows, 1)[:, 0])
    everything = np.bincount(_draw(log_probs, Decoding(1, 1, 0, 1), draws), minlength=5) / rows
    np.testing.assert_allclose(everything, probabilities, atol=0.01)
    nucleus = np.bincount(_draw(log_probs, Decoding(1, 0.8, 0, 1), draws), minlength=5) / rows
    np.testing.assert_allclose(nucleus, [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0, 0], atol=0.01)
    top_two = np.bincount(_draw(log_probs, Decoding(1, 1, 2, 1), draws), minlength=5) / rows
    np.testing.assert_allclose(top_two, [2 / 3, 1 / 3, 0, 0, 0], atol=0.01)
    warm = np.bincount(_draw(log_probs, Decoding(2, 1, 0, 1), draws), minlength=5) / rows
    np.testing.assert_allclose(warm, probabilities.sqrt() / probabilities.sqrt().sum(), atol=0.01)


def test_keys_are_the_same_in_every_process():
    assert prompt_key(42, "w7-p00001") == 0x8AEADDA3C83B7ADA9A23D5A9AAD8D32B  # sha256 of the two, first 16 bytes
