import gzip
import json

from enumeration import checked, shared_data
from hypothesis import given
from hypothesis import strategies as st
from nltk.stem.porter import PorterStemmer

from polymlops.metrics.stemmer import IRREGULAR, STEP_2, STEP_3, STEP_4, porter_stem
from polymlops.metrics.tokens import alphanumeric

PEER = PorterStemmer()
endings = ["", "s", "es", "ies", "ed", "ied", "eed", "ing", "y", "e", "ll", "logi", "alli", "sses"]
suffixes = st.sampled_from([*endings, *(suffix for suffix, _ in (*STEP_2, *STEP_3)), *STEP_4])
beginnings = st.text("abeioystlzwxr", max_size=7)


@checked
@given(beginnings, suffixes, suffixes)
def test_stems_of_all_endings_equal_nltk(beginning, inner, outer):
    word = beginning + inner + outer
    assert porter_stem(word) == PEER.stem(word)


def test_irregular_words_equal_nltk():
    assert {word: porter_stem(word) for word in IRREGULAR} == {word: PEER.stem(word) for word in PEER.pool}


def test_stems_of_real_text_equal_nltk():
    with gzip.open(shared_data("stackexchange_answers.jsonl.gz"), "rt") as lines:
        vocabulary = {word for line in lines for word in alphanumeric(json.loads(line)["reply"])}
    assert [word for word in vocabulary if porter_stem(word) != PEER.stem(word)] == []
