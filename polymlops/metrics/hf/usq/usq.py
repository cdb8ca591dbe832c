"""USQ@k: expected quality of the candidate that a selector picks when shown k, and how that compares.

Args:
    predictions: for each prompt the selector's score of each candidate.
    references: for each prompt the true quality of each candidate.
    k: numbers of candidates, default [1, 5, 10].

Returns for each k `usq@k`, `oracle@k` (the best of k), `efficiency@k` (selection gain over oracle gain, about the
correlation of selector and quality) and `regret@k`; and `mean` quality and that `correlation`. NaN where a prompt has
fewer than k candidates, or where there is nothing to gain.
"""

from __future__ import annotations

from collections.abc import Sequence

from polymlops.metrics.hf.evaluation_module import evaluation_module
from polymlops.metrics.user_selection import selection_report

CITATION = "Walder & Karkhanis 2025, arXiv:2505.15201 (max@k), with a selector"


def compute(
    predictions: list[list[float]], references: list[list[float]], k: Sequence[int] = (1, 5, 10)
) -> dict[str, float]:
    """The selection report as one flat dictionary."""
    report = selection_report(references, predictions, k)
    curves = {"usq": report.usq, "oracle": report.oracle, "efficiency": report.efficiency, "regret": report.regret}
    scores = {f"{name}@{size}": value for name, curve in curves.items() for size, value in curve.items()}
    return {"mean": report.mean, "correlation": report.correlation, **scores}


Usq = evaluation_module(str(__doc__), CITATION, [{"predictions": "numbers", "references": "numbers"}], compute)
