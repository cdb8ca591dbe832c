"""When two texts for one prompt say the same to a reader: by the cosine of their embeddings, or by any other rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from polymlops.data.suite_files import SuiteRow, read_suite_rows, shown
from polymlops.errors import InputError
from polymlops.metrics.arrays import Floats
from polymlops.metrics.noveltybench import ThresholdFit, calibrate_threshold, similar


class Equivalence(Protocol):
    """Decides which of a prompt's candidates say the same."""

    def __call__(self, texts: Sequence[str], embeddings_KD: NDArray[Any]) -> NDArray[np.bool_]:
        """A symmetric table (K, K) of booleans, True on its diagonal."""


@dataclass(frozen=True, slots=True)
class ByCosine:
    """Equivalent from this cosine on."""

    threshold: float

    def __call__(self, texts: Sequence[str], embeddings_KD: NDArray[Any]) -> NDArray[np.bool_]:
        """As in `similar`; the texts themselves are not looked at."""
        return similar(embeddings_KD, self.threshold)


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two texts, and whether somebody who has seen one gains nothing from the other."""

    first: str
    second: str
    same: bool


def read_labelled_pairs(path: Path) -> list[LabelledPair]:
    """Read JSON lines of first, second (strings) and same (true or false).

    Raises: InputError with file, line, key and remedy.
    """
    return [LabelledPair(row.text("first"), row.text("second"), _same(row)) for row in read_suite_rows(path)]


def calibrate(encoder: Any, pairs: Sequence[LabelledPair]) -> ThresholdFit:
    """The cosine that best separates the labelled pairs under an encoder.

    Raises: MetricError where equivalent or different pairs are missing.
    """
    from polymlops.models.encoder import embed

    first_MD = embed(encoder, [pair.first for pair in pairs])
    second_MD = embed(encoder, [pair.second for pair in pairs])
    return calibrate_threshold(_cosines(first_MD, second_MD), np.array([pair.same for pair in pairs], dtype=np.bool_))


def _cosines(first_MD: NDArray[Any], second_MD: NDArray[Any]) -> Floats:
    """Cosine of every pair of rows, (M,); 0 where a text has no direction."""
    a_MD, b_MD = first_MD.astype(np.float64), second_MD.astype(np.float64)
    length_M = np.linalg.norm(a_MD, axis=1) * np.linalg.norm(b_MD, axis=1)
    product_M = np.einsum("md,md->m", a_MD, b_MD)
    return np.divide(product_M, length_M, out=np.zeros(len(a_MD)), where=length_M > 0)


def _same(row: SuiteRow) -> bool:
    value = row.values.get("same")
    if not isinstance(value, bool):
        raise InputError(f"{row.place}: 'same' is {shown(value)}: write true or false")
    return value
