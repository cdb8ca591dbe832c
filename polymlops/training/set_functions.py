"""Expected value of a set function over the k-subsets that contain a given member, in closed form.

A group has K samples; S runs over its k-subsets. Each function here returns F_GK with

    F_i = mean of f(S) over the S that contain i,

from which every baseline of `set_objectives` follows: the mean over all S is the mean of F_i over i, and the mean over
the S without i is what the two leave. No subset is enumerated: time and memory are O(K^2) a group at any k.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from polymlops.metrics.arrays import Floats

Bools = NDArray[np.bool_]


def log_choose(n: ArrayLike, r: ArrayLike) -> Floats:
    """Logarithm of the binomial coefficient C(n, r); -inf where r is below 0 or above n."""
    n_N, r_N = np.broadcast_arrays(np.asarray(n, dtype=np.float64), np.asarray(r, dtype=np.float64))
    possible_N = (r_N >= 0) & (r_N <= n_N)
    top_N, bottom_N = np.where(possible_N, n_N, 0.0), np.where(possible_N, r_N, 0.0)
    logs_N = gammaln(top_N + 1) - gammaln(bottom_N + 1) - gammaln(top_N - bottom_N + 1)
    return np.where(possible_N, logs_N, -np.inf)


def mean_with_member(rewards_GK: Floats, k: int) -> Floats:
    """f(S) = mean reward of S: the member's own share, and the mean of the others for the rest; (G, K)."""
    samples = rewards_GK.shape[1]
    if k == 1:
        return rewards_GK.copy()
    others_GK = (rewards_GK.sum(axis=1, keepdims=True) - rewards_GK) / (samples - 1)
    return (rewards_GK + (k - 1) * others_GK) / k


def selected_with_member(quality_GK: Floats, selector_GK: Floats, k: int) -> Floats:
    """f(S) = quality of the member of S with the highest selector score, ties broken at random; (G, K).

    With L members below a class of t tied ones, in units of C(K-1, k-1) subsets that contain i:

    - the class of i is on top in C(L+t-1, k-1) of them, and i itself is picked with weight [C(L+t,k) - C(L,k)] / t
      (from sum_b C(t-1,b) C(L,k-1-b) / (b+1)); the rest goes to its tied peers evenly;
    - a class above i is on top in C(L+t-1, k-1) - C(L-1, k-1) of them, and any of its members is as likely.

    Source: ours; USQ@k of `polymlops.metrics.user_selection` conditioned on one member.
    """
    samples = quality_GK.shape[1]
    above_GKK = selector_GK[:, None, :] > selector_GK[:, :, None]
    tied_GKK = selector_GK[:, None, :] == selector_GK[:, :, None]
    t_GK = tied_GKK.sum(axis=2)
    below_GK = samples - t_GK - above_GKK.sum(axis=2)
    sizes = np.arange(samples + 1)
    all_of = log_choose(samples - 1, k - 1)
    picks, tops = np.exp(log_choose(sizes, k) - all_of), np.exp(log_choose(sizes, k - 1) - all_of)

    on_top_GK = tops[below_GK + t_GK - 1]
    own_GK = (picks[below_GK + t_GK] - picks[below_GK]) / t_GK
    peers_GK = (_masked_sum(tied_GKK, quality_GK) - quality_GK) / np.maximum(t_GK - 1, 1)
    # A lone member has no peers: what is left of its weight is rounding error.
    shared_GK = np.where(t_GK > 1, on_top_GK - own_GK, 0.0)
    # The lowest class is above nobody, so what it gets here for L - 1 = -1 is never read.
    rises_GK = (on_top_GK - tops[np.maximum(below_GK - 1, 0)]) / t_GK
    return own_GK * quality_GK + shared_GK * peers_GK + _masked_sum(above_GKK, quality_GK * rises_GK)


def _masked_sum(mask_GKK: Bools, values_GK: Floats) -> Floats:
    """Sum over j of values_j where mask_ij; (G, K)."""
    return np.einsum("gij,gj->gi", mask_GKK.astype(np.float64), values_GK)
