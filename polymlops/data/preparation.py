"""The data stage: source -> cleaning -> duplicates -> splits -> parquet, with a report that names every check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from polymlops.config.schema import DataConfig, SplitConfig
from polymlops.data.cleaning import Drops, clean_interactions, comparable
from polymlops.data.duplicates import drop_duplicates
from polymlops.data.engagement import log_likes_of
from polymlops.data.sources import RawInteractions, read_source
from polymlops.data.splits import SPLITS, Split, split_interactions
from polymlops.errors import DataQualityError
from polymlops.records import Job

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
# A share may be off by this much, or by two posts where posts are few: whole components move together.
SHARE_TOLERANCE = 0.05
# A split's distribution of engagement may be this far from all posts' (Kolmogorov-Smirnov), or 2/sqrt(posts) where
# posts are few: a random sample exceeds that once in a thousand.
ENGAGEMENT_DISTANCE = 0.1


@dataclass(frozen=True, slots=True)
class Check:
    """One named check of the prepared data, with what was found."""

    name: str
    passed: bool
    detail: str


def prepare_dataset(config: DataConfig, job: Job) -> dict[str, float]:
    """Write train_sft, train_grpo, reward, validation, test and truth as parquet, and report.json, to `job.output`.

    A split holds post_id, post, reply_id, reply, author, likes (a count) and created, sorted by post and reply; equal
    configs give equal rows. truth.parquet is the world's truth about the posts; no training code may read it, and
    other sources have none. Returns flat metrics: `data/rows`, `data/dropped`, `data/dropped_<reason>`,
    `data/noted_<what>`, `data/rows_<split>`, `data/posts_<split>`.

    Raises:
        DataQualityError: a check fails, a split without rows included; report.json is written first.
        InputError: a file or a Hub dataset cannot be read, or has no usable row.
    """
    raw = read_source(config, job.scratch)
    cleaned = clean_interactions(raw.rows, config.min_characters, config.max_characters, raw.least_likes)
    distinct = drop_duplicates(cleaned.rows, config.near_duplicate_similarity)
    split = split_interactions(distinct.rows, config.split, config.seed)
    drops = raw.drops + cleaned.drops + distinct.drops + split.drops
    checks = check_splits(split, raw.rows_in, drops, config.split)
    report = _report(split, raw, drops, checks)
    (job.output / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    if failed:
        raise DataQualityError("prepared data failed its checks: " + "; ".join(failed))
    for name in SPLITS:
        _rows_of(split, name).write_parquet(job.output / f"{name}.parquet")
    if raw.truth is not None:
        raw.truth.write_parquet(job.output / "truth.parquet")
    return _metrics(split, drops) | {f"data/noted_{what}": float(count) for what, count in raw.notes.items()}


def check_splits(split: Split, rows_in: int, drops: Drops, shares: SplitConfig) -> list[Check]:
    """Check what training and evaluation rely on, all of it, whatever fails first."""
    rows = split.rows
    kept = rows.with_columns(text=pl.Series([comparable(post) for post in rows["post"]], dtype=pl.String))
    sizes = {name: len(_rows_of(split, name)) for name in SPLITS}
    empty = [name for name, size in sizes.items() if size == 0]
    return [
        Check(
            "rows_add_up",
            rows_in == len(rows) + drops.total,
            f"{rows_in} in = {len(rows)} kept + {drops.total} dropped",
        ),
        Check("no_split_is_empty", not empty, f"without rows: {', '.join(empty) or 'none'}"),
        _check_no_crossing(kept, "post_id", "no_post_crosses"),
        _check_no_crossing(kept, "author", "no_author_crosses"),
        _check_no_crossing(kept, "text", "no_post_text_crosses"),
        _check_shares(split, shares),
        _check_engagement(split),
    ]


def _rows_of(split: Split, name: str) -> pl.DataFrame:
    return split.rows.filter(pl.col("split") == name).drop("split")


def _check_no_crossing(rows: pl.DataFrame, column: str, name: str) -> Check:
    places = rows.group_by(column).agg(pl.col("split").n_unique())
    crossing = sorted(places.filter(pl.col("split") > 1)[column].to_list())
    return Check(name, not crossing, f"{len(crossing)} of {len(places)} are in two splits {crossing[:3] or ''}".strip())


def _check_shares(split: Split, shares: SplitConfig) -> Check:
    posts = sum(split.posts_assigned.values())
    found = {name: split.posts_assigned.get(name, 0) / max(posts, 1) for name in SPLITS}
    tolerance = max(SHARE_TOLERANCE, 2 / max(posts, 1))
    passed = all(abs(found[name] - getattr(shares, name)) <= tolerance for name in SPLITS)
    listed = ", ".join(f"{name} {found[name]:.3f} (wanted {getattr(shares, name):g})" for name in SPLITS)
    return Check("shares_of_posts", passed, f"{listed}; tolerance {tolerance:.3f}")


def _check_engagement(split: Split) -> Check:
    posts = split.rows.group_by("post_id", "split").agg(log_likes_of("likes").mean()).sort("post_id")
    reference = np.sort(posts["likes"].to_numpy())
    distances, passed = [], True
    for name in SPLITS:
        values = posts.filter(pl.col("split") == name)["likes"].to_numpy()
        if len(values):
            distance = _ks_distance(values, reference)
            passed &= distance <= max(ENGAGEMENT_DISTANCE, 2 / len(values) ** 0.5)
            distances.append(f"{name} {distance:.3f}")
    return Check("engagement_is_balanced", passed, "distance from all posts: " + ", ".join(distances))


def _ks_distance(sample: np.ndarray, reference: np.ndarray) -> float:
    """Largest distance between two empirical distribution functions."""
    at = np.concatenate([sample, reference])
    below_sample = np.searchsorted(np.sort(sample), at, side="right") / len(sample)
    below_reference = np.searchsorted(np.sort(reference), at, side="right") / len(reference)
    return float(np.abs(below_sample - below_reference).max())


def _report(split: Split, raw: RawInteractions, drops: Drops, checks: list[Check]) -> dict[str, Any]:
    return {
        "rows_in": raw.rows_in,
        "rows_kept": len(split.rows),
        "dropped": {
            reason: {"count": count, "examples": list(drops.examples[reason])} for reason, count in drops.counts.items()
        },
        "noted": dict(raw.notes),
        "columns": dict(raw.columns),
        "splits": {name: _describe_split(split, name) for name in SPLITS},
        "checks": [{"name": check.name, "passed": check.passed, "detail": check.detail} for check in checks],
    }


def _describe_split(split: Split, name: str) -> dict[str, Any]:
    rows = _rows_of(split, name)
    return {
        "rows": len(rows),
        "posts": rows["post_id"].n_unique(),
        "posts_assigned": split.posts_assigned.get(name, 0),
        "authors": rows["author"].n_unique(),
        "likes_quantiles": {f"{q:g}": rows["likes"].quantile(q, "nearest") for q in QUANTILES},
    }


def _metrics(split: Split, drops: Drops) -> dict[str, float]:
    per_split: Mapping[str, pl.DataFrame] = {name: _rows_of(split, name) for name in SPLITS}
    return (
        {"data/rows": float(len(split.rows)), "data/dropped": float(drops.total)}
        | {f"data/dropped_{reason}": float(count) for reason, count in drops.counts.items()}
        | {f"data/rows_{name}": float(len(rows)) for name, rows in per_split.items()}
        | {f"data/posts_{name}": float(rows["post_id"].n_unique()) for name, rows in per_split.items()}
    )
