"""Compiled longest common subsequences, 64 positions at a time. Imported on first use only (numba).

Source: Hyyro 2004, "Bit-parallel LCS-length computation revisited".
"""

from __future__ import annotations

import numpy as np
from numba import njit

from polymlops.metrics.arrays import Ints, SmallInts, Words

ONE = np.uint64(1)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(cache=True, nogil=True)
def pair_lcs(ids: SmallInts, offsets: Ints, types: int, first_M: Ints, second_M: Ints) -> Ints:
    """Length of the longest common subsequence of the texts first_M[m] and second_M[m], (M,).

    Fastest where equal values of `first_M` lie side by side: the bit masks of a text are made once a run.
    """
    lengths_M = np.empty(len(first_M), dtype=np.int64)
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    chunks = (longest + 63) // 64
    masks = np.zeros((types, max(chunks, 1)), dtype=np.uint64)
    state = np.empty(max(chunks, 1), dtype=np.uint64)
    masked = -1
    for m in range(len(first_M)):
        if first_M[m] != masked:
            if masked >= 0:
                for token in ids[offsets[masked] : offsets[masked + 1]]:
                    masks[token] = 0
            masked = first_M[m]
            for place, token in enumerate(ids[offsets[masked] : offsets[masked + 1]]):
                masks[token, place >> 6] |= ONE << np.uint64(place & 63)
        size = offsets[masked + 1] - offsets[masked]
        lengths_M[m] = _lcs(masks, state, size, ids[offsets[second_M[m]] : offsets[second_M[m] + 1]])
    return lengths_M


@njit(cache=True, nogil=True)
def _lcs(masks: Words, state: Words, size: int, tokens: SmallInts) -> np.int64:
    """A 0 bit in the state marks a position of the masked text where the common subsequence grows by one."""
    chunks = (size + 63) // 64
    state[:chunks] = ALL
    for token in tokens:
        carry = np.uint64(0)
        for chunk in range(chunks):
            old = state[chunk]
            shared = old & masks[token, chunk]
            total = old + shared
            carried = total + carry
            carry = ONE if (total < old or carried < total) else np.uint64(0)
            state[chunk] = carried | (old & ~shared)
    length = np.int64(0)
    for place in range(size):
        length += np.int64(ONE - ((state[place >> 6] >> np.uint64(place & 63)) & ONE))
    return length


@njit(cache=True, nogil=True)
def union_hits(ids: SmallInts, sentences: Ints, reference: Ints, prediction: Ints, types: int) -> int:
    """ROUGE-Lsum hits: tokens in the union of each reference sentence's LCS with every predicted sentence.

    `reference` and `prediction` are (first, last) sentence numbers, last excluded. A token is hit no more often than
    it occurs on either side.
    """
    left = np.zeros((2, types), dtype=np.int64)
    for token in ids[sentences[reference[0]] : sentences[reference[1]]]:
        left[0, token] += 1
    for token in ids[sentences[prediction[0]] : sentences[prediction[1]]]:
        left[1, token] += 1
    hits = 0
    for r in range(reference[0], reference[1]):
        own = ids[sentences[r] : sentences[r + 1]]
        chosen = np.zeros(len(own), dtype=np.bool_)
        for p in range(prediction[0], prediction[1]):
            _mark_lcs(own, ids[sentences[p] : sentences[p + 1]], chosen)
        for token in own[chosen]:
            if left[0, token] > 0 and left[1, token] > 0:
                hits += 1
                left[0, token] -= 1
                left[1, token] -= 1
    return hits


@njit(cache=True, nogil=True)
def _mark_lcs(own: SmallInts, other: SmallInts, chosen: np.ndarray) -> None:
    """Mark in `chosen` the positions of one LCS, of several equally long ones that which rouge_score reads out."""
    rows, columns = len(own), len(other)
    table = np.zeros((rows + 1, columns + 1), dtype=np.int32)
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            if own[i - 1] == other[j - 1]:
                table[i, j] = table[i - 1, j - 1] + 1
            else:
                table[i, j] = max(table[i - 1, j], table[i, j - 1])
    i, j = rows, columns
    while i > 0 and j > 0:
        if own[i - 1] == other[j - 1]:
            chosen[i - 1] = True
            i -= 1
            j -= 1
        elif table[i, j - 1] > table[i - 1, j]:
            j -= 1
        else:
            i -= 1
