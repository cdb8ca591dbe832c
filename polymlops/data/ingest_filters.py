"""What is dropped from clean replies besides faults: links, spam, formulas, other languages, poison."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import polars as pl

from polymlops.config.ingest import FilterConfig, ToxicityConfig
from polymlops.data.cleaning import Cleaned, Drops, account, describe
from polymlops.errors import InputError

URL = re.compile(r"\b(?:https?://|www\.)\S", re.IGNORECASE)
# What a spreadsheet would execute: =HYPERLINK(...), @SUM(...), =cmd|' /C calc'!A0; "+1" and "@ann" are talk.
FORMULA = re.compile(r"[=+\-@]\s*(?:[A-Za-z][\w.]*\(|[\w.]+\|)|=[A-Z]{1,3}[0-9]+\b")
POISON_BATCH = 32


def filter_rows(rows: pl.DataFrame, config: FilterConfig) -> Cleaned:
    """Drop clean rows that are unwanted by themselves, as formula, url, spam, many_likes or other_language."""
    reasons = [_unwanted(reply, likes, config) for reply, likes in rows.select("reply", "likes").iter_rows()]
    return _without(rows, reasons)


def cap_authors(rows: pl.DataFrame, cap: int | None) -> Cleaned:
    """Keep `cap` replies of each author, the first by id; the others are author_over_cap."""
    if cap is None:
        return Cleaned(rows, Drops())
    place = rows.select(pl.col("reply_id").rank("ordinal").over("author").alias("place"))["place"]
    return _without(rows, ["author_over_cap" if rank > cap else "" for rank in place])


def drop_toxic(rows: pl.DataFrame, config: ToxicityConfig | None) -> Cleaned:
    """Drop the replies to which a classifier gives its label with `threshold` or more.

    Raises: InputError where the classifier cannot be loaded, or has no such label.
    """
    if config is None or rows.is_empty():
        return Cleaned(rows, Drops())
    scores = _toxicity(config, rows["reply"].to_list())
    return _without(rows, ["toxic" if score >= config.threshold else "" for score in scores])


def is_spam(text: str, phrases: tuple[str, ...]) -> bool:
    """True where a phrase stands in the text as whole words: `user` holds no `use`."""
    return bool(phrases) and _spam_pattern(phrases).search(text) is not None


@lru_cache(maxsize=8)
def _spam_pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    spelt = (r"\s+".join(map(re.escape, phrase.split())) for phrase in phrases)
    return re.compile(rf"(?<!\w)(?:{'|'.join(spelt)})(?!\w)", re.IGNORECASE)


def _unwanted(reply: str, likes: int, config: FilterConfig) -> str:
    """The first reason that applies, "" for none."""
    if FORMULA.match(reply):
        return "formula"
    if config.urls == "drop" and URL.search(reply):
        return "url"
    if is_spam(reply, config.spam):
        return "spam"
    if config.max_likes is not None and likes > config.max_likes:
        return "many_likes"
    if config.language is not None and _language_detector()(reply) != config.language:
        return "other_language"
    return ""


@lru_cache(maxsize=1)
def _language_detector() -> Callable[[str], str]:
    try:
        import py3langid
    except ImportError as error:
        raise InputError("filters.language needs py3langid: pip install 'polymlops[ingest]'") from error
    return lambda text: str(py3langid.classify(text)[0])


def _toxicity(config: ToxicityConfig, replies: Sequence[str]) -> list[float]:
    from transformers import pipeline

    try:
        classifier = pipeline("text-classification", model=config.model, revision=config.revision, top_k=None)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"filters.toxicity.model {config.model}: cannot be loaded ({reason}): check it") from error
    found: Any = classifier(list(replies), batch_size=POISON_BATCH, truncation=True)
    scores = [{str(item["label"]): float(item["score"]) for item in items} for items in found]
    if config.label not in scores[0]:
        labels = ", ".join(sorted(scores[0]))
        raise InputError(f"filters.toxicity.label {config.label!r}: the classifier's labels are {labels}")
    return [score[config.label] for score in scores]


def _without(rows: pl.DataFrame, reasons: Sequence[str]) -> Cleaned:
    """The rows without a reason, and an account of the others."""
    keep = pl.Series([not reason for reason in reasons], dtype=pl.Boolean)
    dropped = rows.filter(~keep)
    named = zip((reason for reason in reasons if reason), dropped.iter_rows(named=True), strict=True)
    return Cleaned(rows.filter(keep), account((reason, describe(row)) for reason, row in named))
