"""The stage that trains the reward model: how much people like a reply to a post, learned from the `reward` split only.

Two candidates meet on held-out posts: frozen models with a ridge on top, and the base model fine-tuned as a
cross-encoder. The better one by rank within a post is judged on every fold beside trivial baselines, then fitted on
all rows. The folder that comes out scores any text by itself; it holds safetensors and JSON.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polymlops.config.rewards import Candidate, RewardModelConfig
from polymlops.errors import ArtifactError, DataQualityError
from polymlops.records import Job
from polymlops.training.reward_candidates import FittedCandidate, Workshop, fit_candidate, held_out_scores
from polymlops.training.reward_data import fold_numbers, load_rows
from polymlops.training.reward_features import FrozenFeatures
from polymlops.training.reward_files import load_candidate, save_candidate
from polymlops.training.reward_report import flat_metrics, held_of, report_of, validate_scores
from polymlops.training.reward_validation import agreement

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats, Ints

ABOUT = "reward_model.json"
QUANTILES = 101
NOT_COPIED = ("report.json", "checkpoints")


@dataclass(frozen=True)
class RewardModel:
    """A trained reward model. Scores are in the unit of its target; `average` is that of human replies.

    `human_scores` are quantiles of theirs, at even shares, ascending.
    """

    features: FrozenFeatures
    candidate: FittedCandidate
    average: float
    human_scores: tuple[float, ...] = ()

    @property
    def floor(self) -> float:
        """The score of junk."""
        return self.candidate.guard.floor

    def score(self, posts: Sequence[str], replies: Sequence[str]) -> Floats:
        """One score for each reply, (K,); a pair's score does not depend on the other pairs.

        Raises:
            InputError: the counts differ, or a post is longer than the model's context.
        """
        return self.score_members(posts, replies).mean(axis=0)

    def score_members(self, posts: Sequence[str], replies: Sequence[str]) -> Floats:
        """Scores by each member of the ensemble, (M, K); their spread is what resampled posts would change."""
        if len(posts) == len(replies) == 0:
            return np.zeros((1, 0))
        features = self.features.compute(posts, replies)
        return self.candidate.score(tuple(posts), tuple(replies), features)


def train_reward_model(config: RewardModelConfig, base: Path, dataset: Path, job: Job) -> dict[str, float]:
    """Train, validate and write the reward model to `job.output`, with report.json.

    Returns: `reward/pearson`, `reward/within_post_spearman` and more (see `flat_metrics`), measured on held-out posts.

    Raises:
        DataQualityError: too few posts, nothing to learn, or (`validate`) a baseline is not clearly beaten; the
            report is written first.
    """
    rows = load_rows(config, dataset)
    texts = sorted(set(rows.posts))
    chosen = np.random.default_rng([config.seed, 0]).permutation(len(texts))[: config.references]
    features = FrozenFeatures.load(base, [texts[i] for i in chosen])
    shop = Workshop(config, base, job.scratch, rows, features.compute(rows.posts, rows.replies))
    fold_N = fold_numbers(rows, config.folds, config.seed)
    first = {name: held_out_scores(shop, name, fold_N, 0) for name in config.candidates}
    compared = {name: agreement(scores, held_of(shop, index)) for name, (index, scores) in first.items()}
    kept = max(config.candidates, key=lambda name: compared[name].within_post_spearman.value)
    validation = validate_scores(shop, _out_of_fold(shop, kept, fold_N, first[kept], job), fold_N)
    about = {"kept": kept, "rows": len(rows), "posts": len(texts), "settings": config.model_dump(by_alias=True)}
    candidates = {name: asdict(found) for name, found in compared.items()}
    report = report_of(validation, about | {"candidates_on_first_fold": candidates})
    (job.output / "report.json").write_text(json.dumps(report, indent=1))
    if config.validate_ and validation.not_beaten():
        raise DataQualityError("the reward model does not clearly beat " + "; ".join(validation.not_beaten()))
    _save(shop, features, kept, job.output)
    return flat_metrics(validation)


def load_reward_model(folder: Path) -> RewardModel:
    """Load what `train_reward_model` wrote.

    Raises:
        ArtifactError: there is no reward model in the folder.
    """
    path = folder / ABOUT
    if not path.is_file():
        raise ArtifactError(f"{folder}: no reward model here ({ABOUT} is missing); train it again")
    about = json.loads(path.read_text())
    features = FrozenFeatures.load(folder / "base", about["references"])
    return RewardModel(features, load_candidate(folder, about), about["average"], tuple(about["human_scores"]))


def _out_of_fold(shop: Workshop, kept: Candidate, fold_N: Ints, first: tuple[Ints, Floats], job: Job) -> Floats:
    """Scores of every row by the candidate that did not see its post, (N,); the first fold's are at hand."""
    scores_N = np.zeros(len(shop.rows))
    scores_N[first[0]] = first[1]
    for fold in range(1, shop.config.folds):
        job.progress(fold, shop.config.folds, "fold")
        index, scores = held_out_scores(shop, kept, fold_N, fold)
        scores_N[index] = scores
    job.progress(shop.config.folds, shop.config.folds, "fold")
    return scores_N


def _save(shop: Workshop, features: FrozenFeatures, kept: Candidate, folder: Path) -> None:
    """Fit on all rows and write the model; the manifest goes last."""
    fitted = fit_candidate(shop, kept, np.arange(len(shop.rows)), shop.config.ensemble)
    scores = fitted.score(shop.rows.posts, shop.rows.replies, shop.features).mean(axis=0)
    shutil.copytree(shop.base, folder / "base", ignore=shutil.ignore_patterns(*NOT_COPIED))
    about = save_candidate(fitted, folder) | {"references": list(features.references), "average": float(scores.mean())}
    about |= {"human_scores": np.quantile(scores, np.linspace(0, 1, QUANTILES)).tolist()}
    (folder / ABOUT).write_text(json.dumps(about, indent=1, sort_keys=True))
