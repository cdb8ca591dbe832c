import math
from pathlib import Path

import numpy as np
import pytest

import polymlops.metrics
from polymlops.errors import MetricError
from polymlops.metrics.lexical import distinct_n, rarefied_distinct_n, self_bleu
from polymlops.metrics.pass_at_k import pass_at_k_curve
from polymlops.metrics.user_selection import selection_report

FOLDER = Path(polymlops.metrics.__file__).parent / "hf"
CANDIDATES = [["a b c d e", "a b c d f", "g h"], ["x y z", "x y w"]]


@pytest.fixture
def load(monkeypatch, tmp_path):
    """`evaluate.load` of a module of the package, offline and with its caches in a fresh folder."""
    monkeypatch.setenv("HF_EVALUATE_OFFLINE", "1")
    import evaluate

    monkeypatch.setattr(evaluate.config, "HF_EVALUATE_OFFLINE", True)
    return lambda name: evaluate.load(str(FOLDER / name), cache_dir=str(tmp_path))


def test_self_bleu(load):
    module = load("self_bleu")
    module.add_batch(predictions=CANDIDATES[:1])
    module.add(prediction=CANDIDATES[1])
    result = module.compute(max_order=2)
    expected = [self_bleu(texts, 2) for texts in CANDIDATES]
    assert result == {"self_bleu": pytest.approx(np.mean(expected)), "per_prompt": expected}
    assert math.isnan(module.compute(predictions=[["alone"]])["self_bleu"])


def test_distinct(load):
    result = load("distinct").compute(predictions=CANDIDATES, n=[1, 3], tokens=2)
    for order in (1, 3):
        expected = np.mean([distinct_n(texts, order) for texts in CANDIDATES])
        assert result[f"distinct_{order}"] == pytest.approx(expected)
        rarefied = np.mean([rarefied_distinct_n(texts, order, 2) for texts in CANDIDATES])
        assert result[f"rarefied_distinct_{order}"] == pytest.approx(rarefied, nan_ok=True)


def test_pass_at_k_of_outcomes_in_batches(load):
    module = load("pass_at_k")
    module.add_batch(predictions=[[True, False, False], [False, False, False]])
    module.add_batch(predictions=[[1, 1, 0]], references=["unused"])
    curve = pass_at_k_curve(3, [1, 0, 2], [1, 2, 4])
    result = module.compute(k=[1, 2, 4])
    assert result == {f"pass@{k}": pytest.approx(value, nan_ok=True) for k, value in curve.items()}


def test_pass_at_k_of_programs_takes_what_code_eval_takes(load):
    programs = {
        "references": ["assert add(2, 3) == 5"],
        "predictions": [["def add(a, b): return a * b", "def add(a, b): return a + b"]],
    }
    seen = []

    def run_tests(candidates, tests, num_workers, timeout):
        seen.extend([candidates, tests, num_workers, timeout])
        return ["a + b" in candidate for candidate in candidates]

    module = load("pass_at_k")
    result = module.compute(**programs, k=[1, 2], num_workers=2, timeout=1.5, run_tests=run_tests)
    assert result == {"pass@1": 0.5, "pass@2": 1.0}
    assert seen == [programs["predictions"][0], programs["references"] * 2, 2, 1.5]
    with pytest.raises(MetricError, match=r"polymlops\.evaluation\.code_eval\.run_tests"):
        load("pass_at_k").compute(**programs, k=[1])
    with pytest.raises(MetricError, match="1 outcomes for 2 programs"):
        load("pass_at_k").compute(**programs, k=[1], run_tests=lambda candidates, tests: [True])


@pytest.mark.parametrize("predictions", [[[True], ["x = 1"]], [["True", True]], [[0.5]], ["x = 1"], None])
def test_outcomes_of_mixed_kinds_are_refused_and_not_cast(load, predictions):
    with pytest.raises(ValueError, match=r"must be|missing|at least once"):
        load("pass_at_k").compute(predictions=predictions)


def test_a_later_batch_of_another_kind_is_refused(load):
    module = load("pass_at_k")
    module.add_batch(predictions=[[True, False]])
    with pytest.raises(ValueError, match="first batch"):
        module.add_batch(predictions=[["x = 1", "y = 2"]])


def test_usq(load):
    rng = np.random.default_rng(0)
    quality = rng.normal(size=(4, 6))
    selector = quality + rng.normal(size=quality.shape)
    module = load("usq")
    for q, s in zip(quality, selector, strict=True):
        module.add_batch(predictions=[s.tolist()], references=[q.tolist()])
    result = module.compute(k=[1, 3, 7])
    report = selection_report(quality, selector, [1, 3, 7])
    assert result["usq@3"] == pytest.approx(report.usq[3])
    assert result["oracle@3"] == pytest.approx(report.oracle[3])
    assert result["efficiency@3"] == pytest.approx(report.efficiency[3])
    assert result["regret@3"] == pytest.approx(report.regret[3])
    assert result["correlation"] == pytest.approx(report.correlation)
    assert math.isnan(result["usq@7"])


def test_der(load):
    result = load("der").compute(predictions=[[True, False, True], [False, False, True]], k=[1, 2, 3, 4])
    assert result["der@1"] == 1.0
    assert result["der@2"] == pytest.approx((1 + 2 / 3) / 2 / (2 * 0.5))
    assert result["der_low@2"] == 0.5
    assert result["der_high@3"] == pytest.approx(2 / 3)
    assert not math.isnan(result["coverage_efficiency@3"])
    assert all(math.isnan(value) for name, value in result.items() if name.endswith("@4"))
