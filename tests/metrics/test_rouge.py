import itertools
import json
import math

import numpy as np
import pytest
from enumeration import checked, shared_data
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from polymlops.errors import MetricError
from polymlops.metrics.rouge import pairwise_rouge_l, rouge_l, rouge_l_sum, rouge_n

VOCABULARY = ["run", "running", "ran", "cities", "city", "happily", "happy", "9,000", "Über", "it's", "\n", "a", "the"]
text_strategy = st.lists(st.sampled_from(VOCABULARY), max_size=14).map(" ".join)


def ours(kind, predictions, references, stem):
    if kind == "rougeL":
        return rouge_l(predictions, references, stem)
    if kind == "rougeLsum":
        return rouge_l_sum(predictions, references, stem)
    return rouge_n(predictions, references, int(kind[-1]), stem)


@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rouge3", "rougeL", "rougeLsum"])
@pytest.mark.parametrize("stem", [False, True])
@checked
@given(st.lists(st.tuples(text_strategy, text_strategy), min_size=1, max_size=4))
def test_scores_equal_rouge_score(kind, stem, pairs):
    peer = RougeScorer([kind], use_stemmer=stem)
    expected = [peer.score(reference, prediction)[kind] for prediction, reference in pairs]
    result = ours(kind, [p for p, _ in pairs], [r for _, r in pairs], stem)
    np.testing.assert_allclose(result.precision_M, [score.precision for score in expected], rtol=1e-9)
    np.testing.assert_allclose(result.recall_M, [score.recall for score in expected], rtol=1e-9)
    np.testing.assert_allclose(result.fmeasure_M, [score.fmeasure for score in expected], rtol=1e-9)


def test_long_texts_equal_rouge_score():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(VOCABULARY[:8], size=size)) for size in (63, 64, 65, 130, 200, 1)]
    peer = RougeScorer(["rougeL"])
    pairs = [(a, b) for a in texts for b in texts]
    expected = [peer.score(b, a)["rougeL"].fmeasure for a, b in pairs]
    result = rouge_l([a for a, _ in pairs], [b for _, b in pairs])
    np.testing.assert_allclose(result.fmeasure_M, expected, rtol=1e-9)


def test_words_missing_from_whole_stretches_of_a_long_text_equal_rouge_score():
    # More than two machine words of positions, some without any match: a carry must pass through them.
    rng = np.random.default_rng(1)
    stretches = [["x"] * 64, ["y"] * 64, ["z", "x"] * 32, ["y", "z"] * 32]
    texts = [" ".join(word for i in rng.integers(0, 4, size=4) for word in stretches[i]) for _ in range(8)]
    texts = [text[: int(rng.integers(300, len(text)))] for text in texts]
    peer = RougeScorer(["rougeL"])
    pairs = list(itertools.permutations(texts, 2))
    expected = [peer.score(b, a)["rougeL"].fmeasure for a, b in pairs]
    result = rouge_l([a for a, _ in pairs], [b for _, b in pairs])
    np.testing.assert_allclose(result.fmeasure_M, expected, rtol=1e-9)


def test_reference_cases():
    cases = json.loads(shared_data("rouge_cases.json").read_text())
    for case in cases:
        result = ours(case["rouge"], [case["prediction"]], [case["reference"]], case["use_stemmer"])
        # Values from ROUGE 1.5.5 are printed with five digits.
        digits = 5e-6 if case["origin"] == "ROUGE-1.5.5" else 1e-9
        assert result.precision_M[0] == pytest.approx(case["precision"], abs=digits)
        assert result.recall_M[0] == pytest.approx(case["recall"], abs=digits)
        assert result.fmeasure_M[0] == pytest.approx(case["fmeasure"], abs=digits)


@checked
@given(st.lists(text_strategy, min_size=2, max_size=6), st.booleans())
def test_pairwise_rouge_l_is_the_mean_over_pairs(texts, stem):
    peer = RougeScorer(["rougeL"], use_stemmer=stem)
    pairs = [(a, b) for i, a in enumerate(texts) for b in texts[i + 1 :]]
    expected = np.mean([peer.score(a, b)["rougeL"].fmeasure for a, b in pairs])
    assert pairwise_rouge_l(texts, stem) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_borders():
    assert math.isnan(pairwise_rouge_l(["alone"]))
    assert rouge_l([], []).fmeasure_M.shape == (0,)
    assert rouge_l_sum([], []).fmeasure_M.shape == (0,)
    assert rouge_n([""], ["words"], 1).fmeasure_M.tolist() == [0.0]


@pytest.mark.parametrize("arguments", [(["a"], []), ("a", ["a"]), (["a"], "a"), (["a"], [None])])
def test_pairs_without_meaning_are_refused(arguments):
    for function in (rouge_l, rouge_l_sum, lambda p, r: rouge_n(p, r, 1)):
        with pytest.raises(MetricError):
            function(*arguments)
    with pytest.raises(MetricError, match="n must be"):
        rouge_n(["a"], ["a"], 0)
