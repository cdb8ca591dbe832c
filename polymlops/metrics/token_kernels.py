"""The compiled tokenizer of ASCII text: bytes in, token numbers out. Imported on first use only (numba)."""

from __future__ import annotations

import numpy as np
from numba import njit

from polymlops.metrics.arrays import Bytes, Ints, SmallInts, Words

# FNV-1a, 64 bit. The hash only chooses the slot: tokens are compared byte by byte.
FNV_OFFSET = np.uint64(14695981039346656037)
FNV_PRIME = np.uint64(1099511628211)

# What a byte is to a tokenizer: a separator, part of a word, or a token of its own.
SEPARATOR, WORD, SINGLE = 0, 1, 2


@njit(cache=True, nogil=True)
def number_tokens(text: Bytes, ends: Ints, classes: Bytes) -> tuple[SmallInts, Ints, Ints, int]:
    """Number the tokens of texts that lie one after another in `text`, text i ending before ends[i].

    Returns the numbers by first appearance, the offsets of the texts among them, the bytes (start, end) where each
    different token first appears, and how many differ.
    """
    spans, hashes, offsets, tokens = _token_spans(text, ends, classes)
    size = 16
    while size < 2 * tokens:
        size *= 2
    mask = np.uint64(size - 1)
    slots = np.full(size, -1, dtype=np.int32)
    ids = np.empty(tokens, dtype=np.int32)
    types = 0
    for token in range(tokens):
        start, end = spans[token, 0], spans[token, 1]
        slot = (hashes[token] ^ (hashes[token] >> np.uint64(32))) & mask
        while True:
            number = slots[slot]
            if number == -1:
                slots[slot] = number = types
                # A new type is never later in line than the token that shows it: this row has been read already.
                spans[types, 0], spans[types, 1] = start, end
                hashes[types] = hashes[token]
                types += 1
                break
            if hashes[number] == hashes[token] and _same(text, spans[number, 0], spans[number, 1], start, end):
                break
            slot = (slot + np.uint64(1)) & mask
        ids[token] = number
    return ids, offsets, spans, types


@njit(cache=True, nogil=True, inline="always")
def _same(text: Bytes, first: int, first_end: int, second: int, second_end: int) -> bool:
    if first_end - first != second_end - second:
        return False
    for at in range(first_end - first):  # noqa: SIM110  # numba compiles no generator
        if text[first + at] != text[second + at]:
            return False
    return True


@njit(cache=True, nogil=True)
def _token_spans(text: Bytes, ends: Ints, classes: Bytes) -> tuple[Ints, Words, Ints, int]:
    """Start, end and hash of every token, and the offsets of the texts among the tokens."""
    spans = np.empty((len(text), 2), dtype=np.int64)
    hashes = np.empty(len(text), dtype=np.uint64)
    offsets = np.zeros(len(ends) + 1, dtype=np.int64)
    tokens, at = 0, 0
    for row in range(len(ends)):
        end = ends[row]
        while at < end:
            kind = classes[text[at]]
            if kind == SEPARATOR:
                at += 1
                continue
            start = at
            mixed = (FNV_OFFSET ^ np.uint64(text[at])) * FNV_PRIME
            at += 1
            if kind == WORD:
                while at < end and classes[text[at]] == WORD:
                    mixed = (mixed ^ np.uint64(text[at])) * FNV_PRIME
                    at += 1
            spans[tokens, 0], spans[tokens, 1] = start, at
            hashes[tokens] = mixed
            tokens += 1
        offsets[row + 1] = tokens
    return spans, hashes, offsets, tokens
