import math
import warnings

import numpy as np
import pytest
from enumeration import checked
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from sacrebleu.metrics.bleu import BLEU

from polymlops.errors import MetricError
from polymlops.metrics.lexical import pairwise_bleu, self_bleu, self_bleu_scores
from polymlops.metrics.tokens import words

# Few different words make shared and repeated n-grams the rule; short texts exercise the missing orders.
texts_strategy = st.lists(st.lists(st.sampled_from("abcde"), max_size=9).map(" ".join), min_size=2, max_size=7)


def nltk_bleu(references, hypothesis, order, method):
    smoothing = getattr(SmoothingFunction(), method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NLTK warns about every order without matches
        return float(sentence_bleu(references, hypothesis, weights=(1 / order,) * order, smoothing_function=smoothing))


def others(rows, index):
    return [row for i, row in enumerate(rows) if i != index]


@checked
@given(texts_strategy, st.integers(1, 5), st.sampled_from(["method1", "method2", "method3"]))
def test_scores_equal_nltk(texts, order, method):
    rows = [text.split() for text in texts]
    expected = [nltk_bleu(others(rows, i), row, order, method) for i, row in enumerate(rows)]
    np.testing.assert_allclose(self_bleu_scores(texts, order, method), expected, rtol=1e-9, atol=1e-12)
    assert self_bleu(texts, order, method) == pytest.approx(np.mean(expected), rel=1e-9, abs=1e-12)


@checked
@given(texts_strategy, st.integers(1, 5))
def test_without_smoothing_a_missing_order_is_zero(texts, order):
    rows = [text.split() for text in texts]
    # NLTK writes 0 as the smallest positive number, to the power of 1 / order.
    expected = [nltk_bleu(others(rows, i), row, order, "method0") for i, row in enumerate(rows)]
    expected = [0.0 if value < 1e-50 else value for value in expected]
    np.testing.assert_allclose(self_bleu_scores(texts, order, "none"), expected, rtol=1e-9)


@checked
@given(texts_strategy, st.sampled_from(["method1", "method2", "method3"]))
def test_pairwise_bleu_equals_nltk(texts, method):
    rows = [text.split() for text in texts]
    pairs = [(a, b) for a in range(len(rows)) for b in range(len(rows)) if a != b]
    expected = np.mean([nltk_bleu([rows[b]], rows[a], 4, method) for a, b in pairs])
    assert pairwise_bleu(texts, 4, method) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs"), [("none", "none"), ("method1", "floor"), ("method2", "add-k"), ("method3", "exp")]
)
def test_scores_equal_sacrebleu(ours, theirs):
    rng = np.random.default_rng(0)
    # Four tokens and more: below that sacrebleu leaves out the missing orders.
    texts = [" ".join(rng.choice(list("abcdefgh"), size=rng.integers(4, 12))) for _ in range(25)]
    peer = BLEU(tokenize="none", smooth_method=theirs, effective_order=False)
    expected = [peer.sentence_score(text, others(texts, i)).score / 100 for i, text in enumerate(texts)]
    np.testing.assert_allclose(self_bleu_scores(texts, smoothing=ours), expected, rtol=1e-9, atol=1e-12)


def test_short_replies_keep_their_brevity_penalty():
    scores = self_bleu_scores(["a b", "a b c d e f g h"], max_order=1)
    assert scores[0] == pytest.approx(math.exp(1 - 8 / 2))


def test_of_two_equally_close_lengths_the_shorter_counts():
    scores = self_bleu_scores(["a b c", "a b", "a b c d"], max_order=1)
    assert scores[0] == pytest.approx(1.0)


def test_borders():
    assert math.isnan(self_bleu([]))
    assert math.isnan(self_bleu(["alone"]))
    assert np.isnan(self_bleu_scores(["alone"])).all()
    assert math.isnan(pairwise_bleu(["alone"]))
    assert self_bleu(["", ""]) == 0.0
    assert self_bleu(["a b", "c d"]) == 0.0
    assert self_bleu(["a b c d e"] * 3) == pytest.approx(1.0)
    assert pairwise_bleu(["a b c d e"] * 3) == pytest.approx(1.0)


def test_the_tokenizer_is_the_callers():
    assert self_bleu(["Yes!", "yes"], max_order=1) == 0.0
    assert self_bleu(["Yes!", "yes"], max_order=1, tokenizer=words) > 0.2


@pytest.mark.parametrize("arguments", [{"max_order": 0}, {"smoothing": "method9"}])
def test_unknown_options_are_refused(arguments):
    for function in (self_bleu, pairwise_bleu):
        with pytest.raises(MetricError):
            function(["a b", "a c"], **arguments)


def test_pairwise_bleu_is_flat_in_the_number_of_candidates_where_self_bleu_grows():
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(list("abcdefghijkl"), size=15)) for _ in range(200)]
    assert pairwise_bleu(texts) == pytest.approx(pairwise_bleu(texts[:30]), abs=0.01)
    assert self_bleu(texts) > self_bleu(texts[:30]) + 0.1
