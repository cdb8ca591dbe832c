"""Compiled n-gram counting. Imported on first use only, because importing numba takes as long as all the rest.

An n-gram is numbered from the number of its first n-1 tokens and its last token, through an exact hash table. So two
n-grams never share a number, and every order costs the same, linear in tokens.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from polymlops.metrics.arrays import Ints, SmallInts, Words

# 2^64 / golden ratio: the high bits of a product with it depend on all bits of the key.
MIX = np.uint64(11400714819323198485)


@njit(cache=True, nogil=True)
def extend(grams: SmallInts, ids: SmallInts, offsets: Ints, n: int, slots: SmallInts, keys: Words) -> int:
    """Turn numbers of (n-1)-grams into numbers of n-grams, in place; returns how many differ.

    A position that is -1 stays so, and becomes so where the text ends before the n-gram does. `slots`
    (`table_size`) and `keys` (one a token) are scratch.
    """
    slots[:] = -1
    mask = np.uint64(len(slots) - 1)
    count = 0
    for text in range(len(offsets) - 1):
        end = offsets[text + 1]
        for at in range(offsets[text], end):
            if grams[at] < 0:
                continue
            if at + n > end:
                grams[at] = -1
                continue
            key = (np.uint64(grams[at]) << np.uint64(32)) | np.uint64(ids[at + n - 1])
            slot = ((key * MIX) >> np.uint64(32)) & mask
            while slots[slot] >= 0 and keys[slots[slot]] != key:
                slot = (slot + np.uint64(1)) & mask
            if slots[slot] < 0:
                slots[slot] = count
                keys[count] = key
                count += 1
            grams[at] = slots[slot]
    return count


@njit(cache=True, nogil=True)
def table_size(tokens: int) -> int:
    """Smallest power of 2 that keeps a hash table of so many entries at most a quarter full."""
    size = 16
    while size < 4 * tokens:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def ngram_numbers(ids: SmallInts, offsets: Ints, types: int, n: int) -> tuple[SmallInts, int]:
    """Number of the n-gram that starts at each token (-1 where the text ends before), and how many differ."""
    grams = ids.copy()
    slots, keys = np.empty(table_size(len(ids)), dtype=np.int32), np.empty(len(ids), dtype=np.uint64)
    count = types
    for order in range(2, n + 1):
        count = extend(grams, ids, offsets, order, slots, keys)
    return grams, count


@njit(cache=True, nogil=True)
def leave_one_out_matches(ids: SmallInts, offsets: Ints, types: int, orders: int) -> Ints:
    """Clipped matches of each text against all others, (orders, texts), for orders 1 .. `orders`.

    The largest count of an n-gram among the *other* texts is its largest count, or its second largest for the text
    that holds the largest: two numbers an n-gram replace K - 1 comparisons.
    """
    tokens = len(ids)
    matches = np.zeros((orders, len(offsets) - 1), dtype=np.int64)
    grams, ranks = ids.copy(), np.empty(tokens, dtype=np.int32)
    slots, keys = np.empty(table_size(tokens), dtype=np.int32), np.empty(tokens, dtype=np.uint64)
    most, second, holder, count, seen_in = np.empty((5, tokens), dtype=np.int32)
    kinds = types
    for order in range(1, orders + 1):
        if order > 1:
            kinds = extend(grams, ids, offsets, order, slots, keys)
        most[:kinds], second[:kinds], seen_in[:kinds] = 0, 0, -1
        _rank(grams, offsets, ranks, most, second, holder, count, seen_in)
        _match(grams, offsets, ranks, most, second, holder, matches[order - 1])
    return matches


@njit(cache=True, nogil=True)
def _rank(
    grams: SmallInts,
    offsets: Ints,
    ranks: SmallInts,
    most: SmallInts,
    second: SmallInts,
    holder: SmallInts,
    count: SmallInts,
    seen_in: SmallInts,
) -> None:
    """Number the occurrences of each n-gram within each text, from 1, and find its two largest counts over texts."""
    for text in range(len(offsets) - 1):
        for at in range(offsets[text], offsets[text + 1]):
            gram = grams[at]
            if gram < 0:
                continue
            rank = count[gram] + 1 if seen_in[gram] == text else 1
            seen_in[gram] = text
            count[gram] = ranks[at] = rank
            if rank > most[gram]:
                if holder[gram] != text:
                    second[gram] = most[gram]
                most[gram] = rank
                holder[gram] = text
            elif rank > second[gram]:
                second[gram] = rank


@njit(cache=True, nogil=True)
def _match(
    grams: SmallInts,
    offsets: Ints,
    ranks: SmallInts,
    most: SmallInts,
    second: SmallInts,
    holder: SmallInts,
    matches_K: Ints,
) -> None:
    """Sum min(own count, largest count among the others) over the n-grams of each text.

    An n-gram that no other text holds cannot start a longer one that another text holds: it is struck out (-1).
    """
    for text in range(len(offsets) - 1):
        total = 0
        for at in range(offsets[text], offsets[text + 1]):
            gram = grams[at]
            if gram < 0:
                continue
            if second[gram] == 0:
                grams[at] = -1
            elif ranks[at] <= (second[gram] if holder[gram] == text else most[gram]):
                total += 1
        matches_K[text] = total


@njit(cache=True, nogil=True)
def pairwise_matches(ids: SmallInts, offsets: Ints, types: int, orders: int) -> Ints:
    """Clipped matches of every two texts, symmetric, (orders, texts, texts)."""
    texts = len(offsets) - 1
    matches = np.zeros((orders, texts, texts), dtype=np.int64)
    for order in range(1, orders + 1):
        grams, kinds = ngram_numbers(ids, offsets, types, order)
        counts, used = np.zeros(kinds, dtype=np.int32), np.zeros(kinds, dtype=np.int32)
        for a in range(texts):
            own = _text(grams, offsets, a, order)
            for gram in own:
                counts[gram] += 1
            for b in range(a + 1, texts):
                shared = _shared(_text(grams, offsets, b, order), counts, used)
                matches[order - 1, a, b] = matches[order - 1, b, a] = shared
            for gram in own:
                counts[gram] = 0
    return matches


@njit(cache=True, nogil=True)
def paired_matches(ids: SmallInts, offsets: Ints, types: int, n: int, first_M: Ints, second_M: Ints) -> Ints:
    """Clipped n-gram matches of the texts first_M[m] and second_M[m], (M,)."""
    grams, kinds = ngram_numbers(ids, offsets, types, n)
    counts, used = np.zeros(kinds, dtype=np.int32), np.zeros(kinds, dtype=np.int32)
    matches_M = np.empty(len(first_M), dtype=np.int64)
    for m in range(len(first_M)):
        own, other = _text(grams, offsets, first_M[m], n), _text(grams, offsets, second_M[m], n)
        for gram in own:
            counts[gram] += 1
        matches_M[m] = _shared(other, counts, used)
        for gram in own:
            counts[gram] = 0
    return matches_M


@njit(cache=True, nogil=True)
def _text(grams: SmallInts, offsets: Ints, text: int, n: int) -> SmallInts:
    """The n-grams of one text."""
    return grams[offsets[text] : max(offsets[text], offsets[text + 1] - n + 1)]


@njit(cache=True, nogil=True)
def _shared(grams: SmallInts, counts: SmallInts, used: SmallInts) -> int:
    """Sum of the smaller of the two counts over n-grams; `used` is 0 before and after."""
    total = 0
    for gram in grams:
        if used[gram] < counts[gram]:
            used[gram] += 1
            total += 1
    for gram in grams:
        used[gram] = 0
    return total


@njit(cache=True, nogil=True)
def bleu_scores(matches_NM: Ints, lengths_M: Ints, reference_lengths_M: Ints, smoothing: int) -> np.ndarray:
    """BLEU of M hypotheses from their clipped matches at orders 1 .. N; `smoothing` is the number in NLTK's name."""
    orders, hypotheses = matches_NM.shape
    scores_M = np.zeros(hypotheses)
    for m in range(hypotheses):
        if matches_NM[0, m] == 0:
            continue
        total_log, misses = 0.0, 0
        for n in range(orders):
            matches, total = float(matches_NM[n, m]), max(lengths_M[m] - n, 1)
            if smoothing == 2 and n > 0:
                matches, total = matches + 1, total + 1
            elif matches == 0:
                misses += 1
                matches = (0.0, 0.1, 0.0, 0.5**misses)[smoothing]
            total_log += np.log(matches / total) if matches > 0 else -np.inf
        brevity = min(0.0, 1 - reference_lengths_M[m] / lengths_M[m])
        scores_M[m] = np.exp(brevity + total_log / orders)
    return scores_M


@njit(cache=True, nogil=True)
def closest_other_lengths(lengths_K: Ints) -> Ints:
    """For each text the length closest to its own among the others, the shorter of two equally close ones."""
    order = np.argsort(lengths_K)
    closest = np.empty_like(lengths_K)
    for rank, text in enumerate(order):
        shorter = lengths_K[order[rank - 1]] if rank > 0 else lengths_K[order[1]]
        longer = lengths_K[order[rank + 1]] if rank + 1 < len(order) else shorter
        closer = abs(longer - lengths_K[text]) < abs(lengths_K[text] - shorter)
        closest[text] = longer if closer else shorter
    return closest
