import json
import math

import numpy as np
import pytest
from enumeration import shared_data

from polymlops.errors import MetricError
from polymlops.metrics.quality import bert_score, bleu, length, perplexity, repetition, truncated_share


def test_bleu_reference_cases():
    for case in json.loads(shared_data("sacrebleu_cases.json").read_text()):
        references = [list(texts) for texts in zip(*case["refs"], strict=True)]
        assert bleu(case["hyps"], references, **case["kwargs"]) == pytest.approx(case["bleu"], abs=1e-6)


def test_bleu_with_unequal_numbers_of_references():
    import sacrebleu

    predictions, references = ["a b c d e", "f g h i"], [["a b c d f", "a b c"], ["f g h i"]]
    streams = [["a b c d f", "f g h i"], ["a b c", None]]
    assert bleu(predictions, references) == pytest.approx(sacrebleu.corpus_bleu(predictions, streams).score)
    assert math.isnan(bleu([], []))


@pytest.mark.parametrize(
    ("references", "options"),
    [([["a"]], {}), ([["a"], []], {}), (["a", "b"], {}), ([["a"], ["b"]], {"tokenize": "moses"})],
)
def test_bleu_without_meaning_is_refused(references, options):
    with pytest.raises(MetricError):
        bleu(["a", "b"], references, **options)


def one_hot(texts):
    """An encoder whose cosine is 1 for equal letters and 0 for others."""
    return [np.eye(26)[[ord(letter) - 97 for letter in text.split()]].reshape(-1, 26) for text in texts]


def test_bert_score_matches_greedily():
    scores = bert_score(["a b c", "a a"], ["a b d e", "a"], one_hot)
    np.testing.assert_allclose(scores.precision_M, [2 / 3, 1])
    np.testing.assert_allclose(scores.recall_M, [2 / 4, 1])
    np.testing.assert_allclose(scores.fmeasure_M, [4 / 7, 1])


def test_bert_score_uses_directions_only():
    scores = bert_score(["x"], ["y"], lambda texts: [np.array([[3.0, 0.0]]), np.array([[2.0, 2.0]])])
    assert scores.fmeasure_M[0] == pytest.approx(math.sqrt(0.5))


def test_bert_score_borders():
    assert np.isnan(bert_score([""], ["a"], one_hot).fmeasure_M).all()
    with pytest.raises(MetricError):
        bert_score(["a"], [], one_hot)
    with pytest.raises(MetricError):
        bert_score(["a"], ["b"], lambda texts: [np.array([[math.nan]])] * 2)


def test_perplexity_of_uniform_tokens_is_their_number():
    result = perplexity([10 * math.log(1 / 7), 0.0, 0.0], [10, 3, 0])
    np.testing.assert_allclose(result, [7, 1, math.nan])


@pytest.mark.parametrize("arguments", [([1.0], [2]), ([-1.0], [1, 2]), ([math.nan], [1]), ([-1.0], [-1])])
def test_perplexity_without_meaning_is_refused(arguments):
    with pytest.raises(MetricError):
        perplexity(*arguments)


def test_repetition_counts_within_each_text():
    np.testing.assert_allclose(repetition(["a b a b a b", "a b c", "a"], 2), [3 / 5, 0, math.nan])
    assert repetition([], 2).shape == (0,)
    with pytest.raises(MetricError):
        repetition(["a"], 0)


def test_length_and_truncation():
    assert length(["a b c", ""]).tolist() == [3, 0]
    assert truncated_share(["stop", "length", "stop", "length"]) == 0.5
    assert math.isnan(truncated_share([]))
    with pytest.raises(MetricError):
        truncated_share("length")
