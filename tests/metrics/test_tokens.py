import string

import numpy as np
import pytest
from enumeration import checked
from hypothesis import given
from hypothesis import strategies as st

from polymlops.errors import MetricError
from polymlops.metrics.tokens import alphanumeric, token_table, whitespace, words

ascii_texts = st.lists(st.text(st.characters(codec="ascii"), max_size=30), max_size=6)
any_texts = st.lists(st.text(max_size=20), max_size=5)
# Few letters make repeated tokens the rule.
dense_texts = st.lists(st.text("abA1_ .\n", max_size=25), max_size=6)


def decoded(texts, tokenizer, normalise=None):
    """The token numbers of each text, after checking that they number the tokens by first appearance."""
    table = token_table(texts, tokenizer, normalise)
    rows = [table.ids[a:b].tolist() for a, b in zip(table.offsets, table.offsets[1:], strict=False)]
    flat = table.ids.tolist()
    assert list(dict.fromkeys(flat)) == list(range(table.types))
    assert table.lengths_K.tolist() == [len(row) for row in rows]
    return rows


def numbered(rows):
    seen = {}
    return [[seen.setdefault(token, len(seen)) for token in row] for row in rows]


@checked
@given(st.one_of(ascii_texts, any_texts, dense_texts), st.sampled_from([whitespace, words, alphanumeric]))
def test_tables_number_the_tokens_of_the_tokenizer(texts, tokenizer):
    assert decoded(texts, tokenizer) == numbered([tokenizer(text) for text in texts])


@checked
@given(dense_texts)
def test_a_tokenizer_of_the_caller_gives_the_same_table(texts):
    assert decoded(texts, str.split) == decoded(texts, whitespace)


@checked
@given(st.one_of(dense_texts, any_texts))
def test_normalised_tokens_share_a_number(texts):
    expected = numbered([[token[:1] for token in alphanumeric(text)] for text in texts])
    assert decoded(texts, alphanumeric, lambda token: token[:1]) == expected


def test_every_ascii_character_is_treated_alike():
    texts = [f"a{character}b {character}{character}" for character in map(chr, range(128))]
    for tokenizer in (whitespace, words, alphanumeric):
        assert decoded(texts, tokenizer) == numbered([tokenizer(text) for text in texts])


def test_many_tokens_do_not_collide():
    rng = np.random.default_rng(0)
    letters = np.array(list(string.ascii_letters))
    texts = [" ".join("".join(rng.choice(letters, 3)) for _ in range(3_000)) for _ in range(3)]
    assert decoded(texts, whitespace) == numbered([text.split() for text in texts])


def test_tokens_of_one_hash_are_told_apart():
    # Published collisions of 64-bit FNV-1a, checked in the first line.
    for pair in (["8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ"], ["7mohtcOFVz", "c1E51sSEyx"]):
        assert fnv_1a(pair[0]) == fnv_1a(pair[1])
        assert decoded([" ".join(pair * 2)], whitespace) == [[0, 1, 0, 1]]


def fnv_1a(text):
    value = 14695981039346656037
    for byte in text.encode():
        value = (value ^ byte) * 1099511628211 % 2**64
    return value


def test_words_separate_punctuation():
    assert words("Don't stop_me, now!") == ["don", "'", "t", "stop_me", ",", "now", "!"]
    assert alphanumeric("Über 9,000 naïve") == ["ber", "9", "000", "na", "ve"]


@pytest.mark.parametrize("texts", ["one string", ["a", None], ["a", 3], [b"bytes"]])
def test_what_is_no_list_of_strings_is_refused(texts):
    with pytest.raises(MetricError):
        token_table(texts)
