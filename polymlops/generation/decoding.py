"""Sampling n candidates for each prompt: it is computed once, finished rows leave the batch, draws belong to it.

Every (prompt, candidate, position) has its own uniform number from a generator keyed by the prompt, and tokens are
drawn by inverting the distribution function in float64. What a prompt gets therefore does not depend on the other
prompts or on how many are decoded together, but for last-bit differences of the matrix products (a draw within about
1e-6 of a boundary).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a token is drawn. `top_k` 0 and `top_p` 1 are off."""

    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sampled continuation.

    `tokens` ends with the end token where `finished`. `logprob` is its log-probability under the model itself
    (temperature 1, nothing cut off), end token included; `entropy` the mean over positions of the model's entropy, in
    nats.
    """

    tokens: tuple[int, ...]
    logprob: float
    entropy: float
    finished: bool


def prompt_key(seed: int, prompt_id: str) -> int:
    """A 128-bit key for a prompt's random numbers, the same in every process."""
    return int.from_bytes(hashlib.sha256(f"{seed}\x1f{prompt_id}".encode()).digest()[:16], "big")


def uniforms(key: int, n: int, length: int) -> NDArray[np.float64]:
    """Uniform numbers of a prompt, shape (n, length); the first rows do not depend on n."""
    return np.random.Generator(np.random.Philox(key=key)).random((n, length))


def sample_candidates(
    model: Any, prompts: Sequence[Sequence[int]], keys: Sequence[int], n: int, decoding: Decoding
) -> list[list[Candidate]]:
    """Sample n candidates for each tokenised prompt, all decoded together; results in order.

    `model` is a causal LM in evaluation mode; its pad and end tokens are those of its generation config.
    """
    import torch

    draws_RT = np.concatenate([uniforms(key, n, decoding.max_new_tokens) for key in keys])
    with torch.no_grad():
        rows = _decode(model, prompts, n, decoding, torch.from_numpy(draws_RT).to(device_of(model)))
    return [rows[start : start + n] for start in range(0, len(rows), n)]


def end_tokens(model: Any) -> list[int]:
    """The token ids that end a text for this model."""
    ends = model.generation_config.eos_token_id
    return list(ends) if isinstance(ends, list | tuple) else [int(ends)]


def device_of(model: Any) -> torch.device:
    """Where the model lies."""
    return next(model.parameters()).device


def pad_left(prompts: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask of prompts of unequal length, each (P, T)."""
    import torch

    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, width - len(prompt) :] = 1
    return ids, mask


def _decode(
    model: Any, prompts: Sequence[Sequence[int]], n: int, decoding: Decoding, draws_RT: torch.Tensor
) -> list[Candidate]:
    import torch

    ends = torch.tensor(end_tokens(model), device=device_of(model))
    batch = _Batch(model, prompts, n)
    results = _Results(len(prompts) * n, decoding.max_new_tokens, device_of(model))
    active = torch.arange(len(prompts) * n, device=device_of(model))  # rows of the results that are still being decoded
    for step in range(decoding.max_new_tokens):
        log_probs = torch.log_softmax(batch.logits.double(), -1)
        drawn = _draw(log_probs, decoding, draws_RT[active, step])
        ended = torch.isin(drawn, ends)
        results.record(active, step, drawn, log_probs, ended)
        if ended.all() or step + 1 == decoding.max_new_tokens:
            break
        if ended.any():
            keep = (~ended).nonzero()[:, 0]
            batch.keep(keep)
            active, drawn = active[keep], drawn[keep]
        batch.advance(drawn)
    return results.candidates()


class _Batch:
    """The rows being decoded: their cache, mask, positions and next-token logits."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], n: int) -> None:
        padded = pad_left(prompts, int(model.generation_config.pad_token_id or 0))
        ids, mask = (part.to(device_of(model)) for part in padded)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        first = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
        self.model = model
        self.cache = first.past_key_values
        self.cache.batch_repeat_interleave(n)
        self.logits = first.logits[:, -1].repeat_interleave(n, 0)
        self.mask = mask.repeat_interleave(n, 0)
        self.position = self.mask.sum(1)

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""
        self.cache.batch_select_indices(rows)
        self.mask, self.position = self.mask[rows], self.position[rows]

    def advance(self, drawn: torch.Tensor) -> None:
        """Append one token to every row."""
        import torch

        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], 1)
        self.logits = self.model(
            input_ids=drawn[:, None],
            attention_mask=self.mask,
            position_ids=self.position[:, None],
            past_key_values=self.cache,
            use_cache=True,
        ).logits[:, -1]
        self.position = self.position + 1


class _Results:
    """What has been drawn so far, a row a candidate."""

    def __init__(self, count: int, width: int, device: torch.device) -> None:
        import torch

        self.tokens = torch.full((count, width), -1, device=device)
        self.logprob = torch.zeros(count, dtype=torch.float64, device=device)
        self.entropy = torch.zeros(count, dtype=torch.float64, device=device)
        self.length = torch.zeros(count, dtype=torch.long, device=device)
        self.finished = torch.zeros(count, dtype=torch.bool, device=device)

    def record(
        self, rows: torch.Tensor, step: int, drawn: torch.Tensor, log_probs: torch.Tensor, ended: torch.Tensor
    ) -> None:
        """Note the token of each row at a step, drawn from the model's `log_probs`."""
        import torch

        self.tokens[rows, step] = drawn
        self.logprob[rows] += log_probs.gather(1, drawn[:, None])[:, 0]
        self.entropy[rows] += torch.special.entr(log_probs.exp()).sum(1)
        self.length[rows] = step + 1
        self.finished[rows] = ended

    def candidates(self) -> list[Candidate]:
        """The rows as records."""
        columns = (self.tokens.tolist(), self.length.tolist(), self.logprob.tolist(), self.entropy.tolist())
        return [
            Candidate(tuple(row[:size]), logprob, entropy / size, done)
            for row, size, logprob, entropy, done in zip(*columns, self.finished.tolist(), strict=True)
        ]


def _draw(log_probs: torch.Tensor, decoding: Decoding, draws: torch.Tensor) -> torch.Tensor:
    """Invert the distribution function of the tempered, truncated distribution at one uniform number a row."""
    import torch

    scores = log_probs / decoding.temperature
    if decoding.top_k == 0 and decoding.top_p >= 1:
        cumulative = torch.softmax(scores, -1).cumsum(-1)
        return _invert(cumulative, draws)
    probabilities, order = torch.softmax(scores, -1).sort(dim=-1, descending=True, stable=True)
    if decoding.top_k:
        probabilities[:, decoding.top_k :] = 0
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    before = probabilities.cumsum(-1) - probabilities
    kept = torch.where(before < decoding.top_p, probabilities, torch.zeros_like(probabilities))
    return order.gather(1, _invert(kept.cumsum(-1), draws)[:, None])[:, 0]


def _invert(cumulative: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    import torch

    target = draws[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=cumulative.shape[1] - 1)
