"""The diversity term of polychromic fine-tuning, with a gradient.

    L = CE(reference reply) - lambda * E[D(Y)],   Y = (y_1 .. y_n) drawn from the policy,   D = mean pairwise distance

D of sampled text is a constant to autograd, so its gradient comes from the score function, with the set without y_i
as the baseline of y_i (it does not depend on y_i, so it adds no bias and removes most of the variance):

    A_i = D(Y) - D(Y without i) = (2/n) [mean_{j != i} d_ij - D(Y without i)]
    grad E[D] = E[ sum_i A_i grad log pi(y_i | x) ]

The surrogate is the sum over i (not the mean: constant 1), averaged over prompts. log pi sums over the tokens of the
sample, end token included, under the temperature of the sampling. Truncated samples and junk count neither in D nor
in the loss; the set is then the remaining ones.

Source: ESTIMATORS of the project, section 4; leave-one-out baseline as in Kool et al. 2019 (RLOO).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.config.schema import PolychromicConfig
from polymlops.generation.decoding import Candidate, Decoding, device_of, pad_left, prompt_key, sample_candidates
from polymlops.models.checkpointing import checkpointed_in_evaluation
from polymlops.models.ranks import count, joined, own_share

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

DistanceFunction = Callable[[Sequence[str]], "NDArray[np.float64]"]


@dataclass(frozen=True, slots=True)
class SetAdvantages:
    """Diversity of one set and the advantage of each member; `valid` members only, the others have advantage 0."""

    diversity: float
    advantages_N: NDArray[np.float64]
    valid_N: NDArray[np.bool_]


def set_advantages(distances_NN: NDArray[np.float64], valid_N: NDArray[np.bool_]) -> SetAdvantages:
    """D(Y) over the valid members and A_i = D(Y) - D(Y without i).

    D of fewer than two members is 0 by convention (a lone candidate offers no choice), so that the pair case n = 2
    keeps a signal; a set with fewer than two valid members has no advantages and its diversity is NaN.
    """
    index = np.flatnonzero(valid_N)
    m = len(index)
    advantages = np.zeros(len(valid_N))
    if m < 2:
        return SetAdvantages(float("nan"), advantages, valid_N)
    within = distances_NN[np.ix_(index, index)]
    row_sums = within.sum(1) - np.diag(within)
    total = row_sums.sum()
    diversity = total / (m * (m - 1))
    without = (total - 2 * row_sums) / ((m - 1) * (m - 2)) if m > 2 else np.zeros(m)
    advantages[index] = diversity - without
    return SetAdvantages(float(diversity), advantages, valid_N)


def lexical_distances(texts: Sequence[str]) -> NDArray[np.float64]:
    """1 - Jaccard similarity of the texts' word unigrams and bigrams, shape (K, K), in [0, 1]."""
    grams = [_grams(text) for text in texts]
    distances = np.zeros((len(texts), len(texts)))
    for i, left in enumerate(grams):
        for j in range(i):
            union = len(left | grams[j])
            distances[i, j] = distances[j, i] = 1 - len(left & grams[j]) / union if union else 0.0
    return distances


def _grams(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {(word,) for word in words} | set(itertools.pairwise(words))


def cosine_distances(embeddings_KD: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """1 - cosine of unit vectors, cut to [0, 1], shape (K, K)."""
    return np.clip(1 - embeddings_KD.astype(np.float64) @ embeddings_KD.T.astype(np.float64), 0, 1)


def is_junk(text: str) -> bool:
    """Text that no person could have meant: nothing to read, or mostly one word again and again."""
    words = text.split()
    if not words or "\ufffd" in text:
        return True
    return len(words) >= 4 and len(set(words)) <= len(words) // 3


def sequence_log_probs(
    model: Any, prompts: Sequence[Sequence[int]], candidates: Sequence[Candidate], temperature: float
) -> torch.Tensor:
    """log pi(y | x) of each candidate after its prompt, summed over its tokens, differentiable; shape (B,)."""
    import torch

    padded = pad_left(
        [[*prompt, *candidate.tokens] for prompt, candidate in zip(prompts, candidates, strict=True)],
        int(model.generation_config.pad_token_id or 0),
    )
    ids, mask = (part.to(device_of(model)) for part in padded)
    longest = max(len(candidate.tokens) for candidate in candidates)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=longest + 1
    ).logits[:, :-1]
    targets = ids[:, -longest:]
    token_log_probs = torch.log_softmax(logits.float() / temperature, -1).gather(2, targets[..., None])[..., 0]
    sizes = torch.tensor([len(candidate.tokens) for candidate in candidates], device=ids.device)
    own = torch.arange(longest, device=ids.device)[None, :] >= (longest - sizes)[:, None]
    return (token_log_probs * own).sum(1)


@dataclass(frozen=True, slots=True)
class DiversityStep:
    """The diversity part of one step: the differentiable surrogate and what is logged of it."""

    surrogate: torch.Tensor
    diversity: float
    valid_share: float
    advantage_spread: float


class DiversityTerm:
    """Samples sets from the policy and turns their diversity into a loss. Holds no state between steps."""

    def __init__(
        self, config: PolychromicConfig, decode: Callable[[Sequence[int]], str], distances: DistanceFunction
    ) -> None:
        self.config = config
        self.decode = decode
        self.distances = distances
        self.decoding = Decoding(config.temperature, 1.0, 0, config.max_new_tokens)

    def step(self, model: Any, prompts: Sequence[Sequence[int]], seed: int, step: int) -> DiversityStep:
        """The term for these prompts at an optimizer step; leaves every random state of torch as it found it.

        The policy that is sampled and the one that is differentiated are the same: both in evaluation mode (no
        dropout). Processes that train together are given the same prompts; each has its share of them sampled, the
        mean of their surrogates is the term, and the other numbers are over all of them.
        """
        share = own_share(len(prompts))
        keys = [prompt_key(seed, f"{step}/{row}") for row in range(len(prompts))]
        was_training = model.training
        model.eval()
        try:
            surrogate, sets = self._of_share(model, prompts[share], keys[share])
        finally:
            model.train(was_training)
        sets = joined(sets)
        return DiversityStep(
            surrogate * count() / len(prompts),
            _mean_diversity(sets, float("nan")),
            float(np.mean(np.concatenate([item.valid_N for item in sets]))),
            float(np.concatenate([item.advantages_N for item in sets]).std()),
        )

    def _of_share(
        self, model: Any, prompts: Sequence[Sequence[int]], keys: Sequence[int]
    ) -> tuple[torch.Tensor, list[SetAdvantages]]:
        """The surrogate, summed over prompts, and their sets."""
        import torch

        if not prompts:
            return torch.zeros((), device=device_of(model)), []
        groups = sample_candidates(model, prompts, keys, self.config.samples, self.decoding)
        sets = [self._advantages(group) for group in groups]
        return self._surrogate(model, prompts, groups, sets), sets

    def _advantages(self, group: Sequence[Candidate]) -> SetAdvantages:
        texts = [self.decode(candidate.tokens[:-1] if candidate.finished else candidate.tokens) for candidate in group]
        valid_N = np.array(
            [candidate.finished and not is_junk(text) for candidate, text in zip(group, texts, strict=True)]
        )
        return set_advantages(self.distances(texts), valid_N)

    def _surrogate(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        groups: Sequence[Sequence[Candidate]],
        results: Sequence[SetAdvantages],
    ) -> torch.Tensor:
        """- sum over prompts and members of stop_grad(A_i) log pi(y_i); without lambda."""
        import torch

        advantages_N = np.concatenate([result.advantages_N for result in results])
        if self.config.detached:
            return torch.tensor(-_mean_diversity(results, 0.0) * len(prompts))
        repeated = [prompt for prompt, group in zip(prompts, groups, strict=True) for _ in group]
        flat = [candidate for group in groups for candidate in group]
        with checkpointed_in_evaluation(model):
            log_probs = sequence_log_probs(model, repeated, flat, self.config.temperature)
        advantages = torch.tensor(advantages_N, dtype=torch.float32, device=log_probs.device)
        return -(advantages * log_probs).sum()


def _mean_diversity(sets: Sequence[SetAdvantages], where_none: float) -> float:
    """Over the sets that have one: fewer than two valid members have no distance."""
    known = [item.diversity for item in sets if not np.isnan(item.diversity)]
    return float(np.mean(known)) if known else where_none
