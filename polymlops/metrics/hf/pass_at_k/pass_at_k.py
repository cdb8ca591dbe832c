"""Pass@k, unbiased: the chance that at least one of k candidates passes.

Args:
    predictions: for each problem the list of its candidates: programs, as in `code_eval`, or whether each passed.
    references: for each problem the code that tests it; needed for programs only.
    k: numbers of candidates, default [1, 10, 100].
    run_tests: needed for programs, which are never run in this process: called with the list of candidates, the list of
        each one's tests, and with `num_workers` and `timeout` where given; returns one boolean each. The sandbox's is
        polymlops.evaluation.code_eval.run_tests.

Returns `pass@k` for each k, the mean over problems, NaN where a problem has fewer than k candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from polymlops.errors import MetricError
from polymlops.metrics.hf.evaluation_module import evaluation_module
from polymlops.metrics.pass_at_k import pass_at_k_curve

CITATION = "Chen et al. 2021, Evaluating Large Language Models Trained on Code, arXiv:2107.03374"


def compute(
    predictions: list[list[Any]],
    references: list[str],
    k: Sequence[int] = (1, 10, 100),
    num_workers: int | None = None,
    timeout: float | None = None,
    run_tests: Callable[..., Sequence[bool]] | None = None,
) -> dict[str, float]:
    """Pass@k from outcomes, or from programs that `run_tests` runs."""
    passed = predictions
    if any(isinstance(candidate, str) for row in predictions for candidate in row):
        if run_tests is None:
            raise MetricError(
                "predictions are programs, and untrusted code runs only in a sandbox: pass "
                "run_tests=polymlops.evaluation.code_eval.run_tests, or the outcomes as booleans"
            )
        limits = {"num_workers": num_workers, "timeout": timeout}
        given = {name: value for name, value in limits.items() if value is not None}
        passed = _outcomes(predictions, references, lambda *columns: run_tests(*columns, **given))
    curve = pass_at_k_curve([len(row) for row in passed], [sum(row) for row in passed], k)
    return {f"pass@{size}": value for size, value in curve.items()}


def _outcomes(
    predictions: list[list[str]], references: list[str], run_tests: Callable[[list[str], list[str]], Sequence[bool]]
) -> list[list[bool]]:
    rows = [(text, tests) for row, tests in zip(predictions, references, strict=True) for text in row]
    outcomes = list(run_tests([text for text, _ in rows], [tests for _, tests in rows]))
    if len(outcomes) != len(rows):
        raise MetricError(f"run_tests returned {len(outcomes)} outcomes for {len(rows)} programs")
    following = iter(outcomes)
    return [[bool(next(following)) for _ in candidates] for candidates in predictions]


PassAtK = evaluation_module(
    str(__doc__),
    CITATION,
    [{"predictions": "strings", "references": "string"}, {"predictions": "booleans", "references": "string"}],
    compute,
)
