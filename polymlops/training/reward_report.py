"""The validation report of a reward model: candidates, the kept one on held-out posts, baselines, ceiling, verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.data.world_ceiling import bayes_prediction, noise_ceiling
from polymlops.data.world_posts import parse_post
from polymlops.records import Estimate
from polymlops.training.reward_baselines import baseline_scores
from polymlops.training.reward_candidates import Workshop
from polymlops.training.reward_validation import (
    Agreement,
    Held,
    agreement,
    isotonic_calibration,
    pair_gain,
    pearson_gain,
    rank_gain,
    reliability,
)

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats, Ints


@dataclass(frozen=True, slots=True)
class Gain:
    """What the model is better by than a baseline: in Pearson's correlation, and in rank and order within a post."""

    pearson: Estimate
    within_post_spearman: Estimate
    pairwise_accuracy: Estimate

    @property
    def clear(self) -> bool:
        """True where the intervals of both correlations lie above 0."""
        return self.pearson.low > 0 and self.within_post_spearman.low > 0


@dataclass(frozen=True)
class Validation:
    """The kept candidate on every held-out post. `ceiling` is none where the truth about likes is not known.

    `earliest` is what the order of arrival alone says, no rival of a text model; none where it is not known.
    """

    model: Agreement
    baselines: Mapping[str, Agreement]
    gains: Mapping[str, Gain]
    ceiling: float | None
    best_possible: Agreement | None
    calibration: Mapping[str, Any]
    earliest: Agreement | None = None

    def not_beaten(self) -> list[str]:
        """Baselines that the model does not clearly beat, each with the two gains."""
        return [
            f"{name} (Pearson {gain.pearson}, within post {gain.within_post_spearman})"
            for name, gain in self.gains.items()
            if not gain.clear
        ]


def held_of(shop: Workshop, index: Ints) -> Held:
    """The rows at `index` as held-out rows."""
    return Held(shop.rows.log_likes_N[index], shop.rows.post_N[index], shop.config.resamples, shop.config.seed)


def validate_scores(shop: Workshop, scores_N: Floats, fold_N: Ints) -> Validation:
    """Judge out-of-fold scores of all rows beside the baselines on the same folds."""
    held = held_of(shop, np.arange(len(scores_N)))
    others = baseline_scores(shop.rows, fold_N)
    gains = {
        name: Gain(*(gain(scores_N, values_N, held) for gain in (pearson_gain, rank_gain, pair_gain)))
        for name, values_N in others.items()
    }
    known = all(parse_post(post) is not None for post in set(shop.rows.posts))
    return Validation(
        agreement(scores_N, held),
        {name: agreement(values_N, held) for name, values_N in others.items()},
        gains,
        noise_ceiling() if known else None,
        agreement(_best_predictions(shop), held) if known else None,
        {"reliability": reliability(scores_N, held), "isotonic": isotonic_calibration(scores_N, held)},
        None if shop.rows.age_N is None else agreement(-shop.rows.age_N, held),
    )


def report_of(validation: Validation, about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, as JSON, after what is said about the run."""
    return {
        **about,
        "model": asdict(validation.model),
        "ceiling": {
            "pearson": validation.ceiling,
            "share_reached": _share(validation),
            "best_possible_on_these_rows": validation.best_possible and asdict(validation.best_possible),
        },
        "baselines": {name: asdict(found) for name, found in validation.baselines.items()},
        "gains": {
            name: {
                "pearson": asdict(gain.pearson),
                "within_post_spearman": asdict(gain.within_post_spearman),
                "pairwise_accuracy": asdict(gain.pairwise_accuracy),
                "clear": gain.clear,
            }
            for name, gain in validation.gains.items()
        },
        "earliest_reply_first": validation.earliest and asdict(validation.earliest),
        "calibration": dict(validation.calibration),
    }


def flat_metrics(validation: Validation) -> dict[str, float]:
    """Stable names: `reward/<figure>` with `_low` and `_high`, `reward/<baseline>_<figure>`, ceiling and its share."""
    metrics: dict[str, float] = {}
    for name, estimate in _fields(validation.model).items():
        metrics |= {f"reward/{name}": estimate.value}
        metrics |= {f"reward/{name}_low": estimate.low, f"reward/{name}_high": estimate.high}
    for baseline, found in validation.baselines.items():
        metrics |= {f"reward/{baseline}_{name}": estimate.value for name, estimate in _fields(found).items()}
    share = _share(validation)
    if validation.ceiling is not None and share is not None:
        metrics |= {"reward/ceiling": validation.ceiling, "reward/ceiling_share": share}
    isotonic = validation.calibration["isotonic"]
    return metrics | {"reward/calibration_slope": isotonic["slope"]}


def _share(validation: Validation) -> float | None:
    return validation.model.pearson.value / validation.ceiling if validation.ceiling else None


def _best_predictions(shop: Workshop) -> Floats:
    pairs = zip(shop.rows.posts, shop.rows.replies, strict=True)
    return np.array([bayes_prediction(post, reply) for post, reply in pairs])


def _fields(found: Agreement) -> dict[str, Estimate]:
    return {
        "pearson": found.pearson,
        "spearman": found.spearman,
        "within_post_spearman": found.within_post_spearman,
        "pairwise_accuracy": found.pairwise_accuracy,
    }
