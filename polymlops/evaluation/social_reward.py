"""Quality of social replies where nobody knows the truth: what the reward model says, as a share of human replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from polymlops.errors import InputError

if TYPE_CHECKING:
    from polymlops.training.reward_model import RewardModel

# A reply passes where the model puts it above half of the human replies to posts of the dataset.
PASS_SHARE = 0.5
VERSION = f"reward-model-percentile>={PASS_SHARE}"


def judge_by_reward(frame: pl.DataFrame, model: RewardModel | None) -> pl.DataFrame:
    """The columns passed, quality, intent, well_formed and quality_version of samples, in their order.

    Quality is the share of the human replies of the reward split that the reward model scores lower, in [0, 1]. It is
    the model's opinion, no truth: an arm that is trained on the same model is judged by what it was paid for. Intents
    are not known; well formed is whatever has a word.

    Raises: InputError where there is no reward model.
    """
    if model is None:
        raise InputError("nobody knows the truth about this dataset: its replies are scored with a reward model")
    scores_N = model.score(frame["prompt"].to_list(), frame["text"].to_list())
    quality_N = np.searchsorted(model.human_scores, scores_N) / len(model.human_scores)
    return pl.DataFrame(
        {
            "passed": quality_N >= PASS_SHARE,
            "quality": quality_N,
            "intent": pl.Series([None] * len(frame), dtype=pl.String),
            "well_formed": [bool(text.strip()) for text in frame["text"]],
            "quality_version": [VERSION] * len(frame),
        }
    )
