"""Ids that have been seen, ten million of them in 80 MB: sorted runs of 64-bit digests, merged as they grow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGEST = 8  # bytes: two of ten million ids are taken for one with probability 3e-6


def keys_of(texts: Iterable[str]) -> NDArray[np.uint64]:
    """A 64-bit digest of each text, the same in every process."""
    joined = b"".join(hashlib.blake2b(text.encode(), digest_size=DIGEST).digest() for text in texts)
    return np.frombuffer(joined, dtype="<u8").astype(np.uint64)


class SeenIds:
    """A set of digests that takes and answers in blocks."""

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []

    def add(self, keys_N: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Add a block; True where a key is new, in this block too."""
        unique, first = np.unique(keys_N, return_index=True)
        known = np.zeros(len(unique), dtype=bool)
        for run in self._runs:
            place = np.minimum(np.searchsorted(run, unique), len(run) - 1)
            known |= run[place] == unique
        new_N = np.zeros(len(keys_N), dtype=bool)
        new_N[first[~known]] = True
        if not known.all():
            self._keep(unique[~known])
        return new_N

    def _keep(self, run: NDArray[np.uint64]) -> None:
        """Runs shrink geometrically, so that there are few and each key is merged a few times only."""
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)
