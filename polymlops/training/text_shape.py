"""Shape of a reply, read from its characters and words alone: repetition, echo of the post, well-formedness."""

from __future__ import annotations

import re

RUN = 3  # words: a run this long that occurs twice, or in the post too, is no coincidence
LONGEST_WORD = 20
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
ODD_RUN = re.compile(r"[bcdfghjklmnpqrstvwxz]{5,}|(.)\1{2,}", re.IGNORECASE)
VOWEL = re.compile(r"[aeiouyà-ÿ]", re.IGNORECASE)
ACRONYM = 4  # letters: shorter words may lack a vowel ("hmm", "TV")


def words_of(text: str) -> list[str]:
    """Words in order, case folded; apostrophes and hyphens inside a word belong to it."""
    return [word.casefold() for word in WORD.findall(text)]


def repeated_share(text: str) -> float:
    """Share of the word trigrams that occurred before in the text; of single words where there are fewer than four."""
    words = words_of(text)
    runs = _runs(words) if len(words) > RUN else [(word,) for word in words]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def echo_share(post: str, text: str) -> float:
    """Share of the words that lie in runs of three words which the post has too; a shorter text is one run."""
    words, source = words_of(text), words_of(post)
    if not words:
        return 0.0
    if len(words) < RUN:
        return float(" ".join(words) in " ".join(source))
    known, copied = set(_runs(source)), set[int]()
    for start, run in enumerate(_runs(words)):
        if run in known:
            copied.update(range(start, start + RUN))
    return len(copied) / len(words)


def plain_share(text: str) -> float:
    """Share of the characters that stand in plain words or are white space and punctuation between them.

    A word is odd where it has a digit amid letters, five consonants or three equal letters in a row, no vowel in four
    letters or more, or more than 20 letters. Scripts other than Latin are taken for plain.
    """
    if not text.strip():
        return 0.0
    odd = sum(len(word) for word in WORD.findall(text) if is_odd(word))
    strange = sum(not (char.isalnum() or char.isspace() or char in ".,;:!?'’\"“”()-–—…#@&%$/") for char in text)
    return max(0.0, 1 - (odd + strange) / len(text.strip()))


def is_odd(word: str) -> bool:
    """True for a word that no one would write, by its characters."""
    if len(word) > LONGEST_WORD or ODD_RUN.search(word):
        return True
    if not word.isascii():
        return False
    mixed = any(char.isdigit() for char in word) and any(char.isalpha() for char in word)
    return (mixed and len(word) > ACRONYM) or (word.isalpha() and len(word) >= ACRONYM and not VOWEL.search(word))


def _runs(words: list[str]) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)]
