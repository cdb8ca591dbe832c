"""Tokenizers, always named and never downloaded, and texts as arrays of token numbers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, chain

import numpy as np

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Bytes, Ints, SmallInts

Tokenizer = Callable[[str], list[str]]

_WORDS = re.compile(r"\w+|[^\w\s]")
_ALPHANUMERIC = re.compile(r"[a-z0-9]+")


def whitespace(text: str) -> list[str]:
    """Split at white space; case and punctuation stay as they are. The default of every lexical metric."""
    return text.split()


def words(text: str) -> list[str]:
    """Lower-cased words and single punctuation marks, by Unicode's word characters."""
    return _WORDS.findall(text.lower())


def alphanumeric(text: str) -> list[str]:
    """Lower-cased runs of a-z and 0-9, as in ROUGE; letters outside ASCII separate."""
    return _ALPHANUMERIC.findall(text.lower())


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Tokens of several texts in one array: text i is ids[offsets[i]:offsets[i + 1]], ids run from 0 to types - 1."""

    ids: SmallInts
    offsets: Ints
    types: int

    @property
    def lengths_K(self) -> Ints:
        """Tokens of each text."""
        return self.offsets[1:] - self.offsets[:-1]


def token_table(
    texts: Sequence[str], tokenizer: Tokenizer = whitespace, normalise: Callable[[str], str] | None = None
) -> TokenTable:
    """Number the tokens of all texts by first appearance.

    `normalise` (a stemmer, say) is applied once to each different token; tokens that become equal get one number. The
    tokenizers of this module are compiled for texts in ASCII; any other text or tokenizer takes the general way, with
    the same result.

    Raises: MetricError where `texts` is one string, or holds something that is no string.
    """
    joined = joined_texts(texts)
    if tokenizer not in (whitespace, words, alphanumeric) or not joined.isascii():
        return _general_table(texts, tokenizer, normalise)
    from polymlops.metrics.token_kernels import number_tokens

    if tokenizer is not whitespace:
        joined = joined.lower()
    raw = np.frombuffer(joined.encode("ascii"), np.uint8)
    ends = np.fromiter(accumulate(map(len, texts)), np.int64, len(texts))
    ids, offsets, spans, types = number_tokens(raw, ends, _ascii_classes(tokenizer))
    if normalise is None:
        return TokenTable(ids, offsets, types)
    return _merged(TokenTable(ids, offsets, types), [joined[a:b] for a, b in spans[:types].tolist()], normalise)


def joined_texts(texts: Sequence[str], separator: str = "") -> str:
    """All texts as one. Raises MetricError where `texts` is one string, or holds something that is no string."""
    if isinstance(texts, str):
        raise MetricError("texts is one string: pass a list of candidates")
    try:
        return separator.join(texts)
    except TypeError as error:
        raise MetricError(f"every candidate must be a string: {error}") from None


def _general_table(texts: Sequence[str], tokenizer: Tokenizer, normalise: Callable[[str], str] | None) -> TokenTable:
    rows = list(map(tokenizer, texts))
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)), out=offsets[1:])
    numbers = _numbering()
    ids = np.fromiter(map(numbers.__getitem__, chain.from_iterable(rows)), np.int32, int(offsets[-1]))
    table = TokenTable(ids, offsets, len(numbers))
    return table if normalise is None else _merged(table, list(numbers), normalise)


def _merged(table: TokenTable, tokens: Sequence[str], normalise: Callable[[str], str]) -> TokenTable:
    numbers = _numbering()
    merged = np.fromiter((numbers[normalise(token)] for token in tokens), np.int32, len(tokens))
    return TokenTable(merged[table.ids], table.offsets, len(numbers))


def _numbering() -> defaultdict[str, int]:
    """A dictionary whose missing keys take its current size as their number: one look-up a token, at C speed."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers


@cache
def _ascii_classes(tokenizer: Tokenizer) -> Bytes:
    """What each ASCII character is to a tokenizer of this module: separator, part of a word, or a token by itself."""
    found = [tokenizer(chr(code)) for code in range(128)]
    alone = [len(tokenizer(chr(code) * 2)) == 2 for code in range(128)]
    return np.array(
        [0 if not tokens else 2 if single else 1 for tokens, single in zip(found, alone, strict=True)], np.uint8
    )
