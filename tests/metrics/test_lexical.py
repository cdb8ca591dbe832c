import gzip
import math
from collections import Counter

import numpy as np
import pytest
from enumeration import checked, over_subsets
from hypothesis import given
from hypothesis import strategies as st

from polymlops.errors import MetricError
from polymlops.metrics.lexical import (
    compression_ratio,
    distinct_n,
    expectation_adjusted_distinct,
    ngram_entropy,
    rarefied_distinct_n,
    self_repetition,
)
from polymlops.metrics.tokens import words

texts_strategy = st.lists(st.lists(st.sampled_from("abcd"), max_size=7).map(" ".join), min_size=0, max_size=5)


def ngrams(text, n):
    row = text.split()
    return [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]


def pooled(texts, n):
    return [gram for text in texts for gram in ngrams(text, n)]


@checked
@given(texts_strategy, st.integers(1, 4))
def test_distinct_n_equals_its_definition(texts, n):
    grams = pooled(texts, n)
    expected = len(set(grams)) / len(grams) if grams else math.nan
    assert distinct_n(texts, n) == pytest.approx(expected, nan_ok=True)


@checked
@given(texts_strategy, st.integers(1, 3), st.integers(1, 50))
def test_expectation_adjusted_distinct_equals_its_definition(texts, n, vocabulary):
    grams = pooled(texts, n)
    expected = math.nan
    if grams:
        expected = len(set(grams)) / (vocabulary * (1 - ((vocabulary - 1) / vocabulary) ** len(grams)))
    result = expectation_adjusted_distinct(texts, n, vocabulary)
    assert result == pytest.approx(expected, rel=1e-9, nan_ok=True)


@checked
@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=5).map(" ".join), min_size=1, max_size=2),
    st.integers(1, 2),
    st.integers(1, 6),
)
def test_rarefied_distinct_n_equals_enumeration(texts, n, tokens):
    grams = pooled(texts, n)
    expected = over_subsets(grams, tokens, lambda subset: len(set(subset)) / tokens)
    assert rarefied_distinct_n(texts, n, tokens) == pytest.approx(expected, rel=1e-9, nan_ok=True)


@checked
@given(texts_strategy, st.integers(1, 3))
def test_ngram_entropy_equals_its_definition(texts, n):
    counts = Counter(pooled(texts, n))
    total = sum(counts.values())
    expected = -sum(c / total * math.log(c / total) for c in counts.values()) if total else math.nan
    assert ngram_entropy(texts, n) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@checked
@given(texts_strategy, st.integers(1, 4))
def test_self_repetition_equals_its_definition(texts, n):
    expected = math.nan
    if len(texts) > 1:
        held = [set(ngrams(text, n)) for text in texts]
        sums = [
            sum(gram in other for gram in ngrams(text, n) for j, other in enumerate(held) if j != i)
            for i, text in enumerate(texts)
        ]
        expected = np.mean(np.log1p(sums))
    assert self_repetition(texts, n) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_rarefied_distinct_n_is_flat_in_length_where_the_others_are_not():
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, 301)
    vocabulary = [f"w{i}" for i in range(300)]
    texts = [" ".join(rng.choice(vocabulary, size=400, p=shares / shares.sum())) for _ in range(60)]
    short = [" ".join(text.split()[:40]) for text in texts]

    def relative_change(metric):
        return abs(metric(texts) / metric(short) - 1)

    assert relative_change(lambda t: rarefied_distinct_n(t, 1, 500)) < 0.03
    assert relative_change(lambda t: distinct_n(t, 1)) > 0.5
    assert relative_change(lambda t: expectation_adjusted_distinct(t, 1, 3_000)) > 0.3


def test_ngrams_do_not_cross_texts():
    assert distinct_n(["a b", "a b"], 2) == 0.5
    assert math.isnan(distinct_n(["a", "b"], 2))


def test_compression_ratio_is_one_gzip_of_all_lines():
    texts = ["the same words", "the same words again", "ünïcode ☃"]
    raw = "\n".join(texts).encode()
    assert compression_ratio(texts) == len(raw) / len(gzip.compress(raw, 9, mtime=0))
    assert compression_ratio(["a b c d e f g h"] * 50) > 10
    assert math.isnan(compression_ratio([]))
    assert compression_ratio(["\ud800 half a pair"]) > 0


def test_the_tokenizer_is_the_callers():
    assert distinct_n(["Yes yes! yes?"], 1) == 1.0
    assert distinct_n(["Yes yes! yes?"], 1, words) == pytest.approx(3 / 5)


@pytest.mark.parametrize("metric", [distinct_n, ngram_entropy, self_repetition])
def test_orders_and_texts_without_meaning_are_refused(metric):
    with pytest.raises(MetricError):
        metric(["a b", "c"], 0)
    with pytest.raises(MetricError):
        metric("one string", 1)
    with pytest.raises(MetricError):
        metric(["a", None], 1)


def test_other_arguments_without_meaning_are_refused():
    with pytest.raises(MetricError):
        rarefied_distinct_n(["a b"], 1, 0)
    with pytest.raises(MetricError):
        expectation_adjusted_distinct(["a b"], 1, 0)
    with pytest.raises(MetricError):
        compression_ratio("one string")
