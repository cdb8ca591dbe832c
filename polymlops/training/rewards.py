"""What training maximises: a learned reward, a heuristic one of documented components, or a weighted mean of both.

Every reward scores texts for posts, one value a pair, higher is better, with a breakdown by component. A component
that fails, returns NaN or too few values is an error that names it: a silent 0 would be learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from polymlops.config.rewards import (
    CompositeRewardConfig,
    HeuristicRewardConfig,
    LearnedRewardConfig,
    RewardConfig,
)
from polymlops.errors import InputError, PolymlopsError, TrainingError
from polymlops.training.reward_model import RewardModel, load_reward_model
from polymlops.training.text_shape import echo_share, plain_share, repeated_share, words_of

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats

T = TypeVar("T")
Encode = Callable[[Sequence[str]], Any]
CONTENT_LETTERS = 3  # shorter words are grammar
GRAMMAR = (
    "all and any are but can day did for get got had has her him his how its let may not now off old one our out own "
    "say she the too two use was way who why yes you about after again also always around because been before being "
    "could does doing down each ever every everyone everything from have here into itself just know like made make "
    "many more most much myself never nobody nothing often once only other over really same should some someone "
    "something still such than that their them then there these they thing things this those through today took under "
    "until very want wants were what when where which while will with without would your yours"
)


@dataclass(frozen=True, slots=True)
class RewardScores:
    """Values (N,), and the parts that they were made of, each (N,), by stable names such as `heuristic/length`."""

    values: Floats
    breakdown: Mapping[str, Floats]


def values_of(rewards: Floats | RewardScores) -> Floats:
    """The values of a reward, with or without its parts."""
    return rewards.values if isinstance(rewards, RewardScores) else rewards


class Reward(Protocol):
    """A reward of any kind."""

    @property
    def name(self) -> str:
        """The kind, which prefixes its breakdown."""

    def score(self, posts: Sequence[str], replies: Sequence[str]) -> RewardScores:
        """Score replies, in order; a pair's value does not depend on the other pairs.

        Raises:
            InputError: the counts differ.
            TrainingError: a component failed, or returned NaN or another number of values; the message names it.
        """


@dataclass(frozen=True)
class LearnedReward:
    """The reward model, moved and scaled so that junk has 0 and the average human reply has 1."""

    model: RewardModel
    name: str = "learned"

    def score(self, posts: Sequence[str], replies: Sequence[str]) -> RewardScores:
        """Score as in `Reward`; the breakdown holds the model's own score, in the unit of its target."""
        check_counts(posts, replies)
        raw = checked("learned", lambda: self.model.score(posts, replies), len(replies))
        values = (raw - self.model.floor) / (self.model.average - self.model.floor)
        return RewardScores(values, {"learned/score": raw, "learned/value": values})


@dataclass(frozen=True)
class HeuristicReward:
    """A weighted mean of components, each in [0, 1] and 0 for a reply without a word.

    relevance    mean of 1 - 2^-(content words shared with the post) and, where there is an encoder, of the cosine of
                 post and reply (0 where negative); times `echo`, so that copying earns nothing
    length       1 between `min_words` and `max_words`; falls in proportion below, and to 0 at twice `max_words`
    repetition   1 - twice the share of repeated word trigrams, at least 0
    echo         1 - twice the share of words in runs of three copied from the post, at least 0
    well_formed  share of the characters in plain words, squared
    """

    config: HeuristicRewardConfig
    encode: Encode | None = None
    name: str = "heuristic"

    def score(self, posts: Sequence[str], replies: Sequence[str]) -> RewardScores:
        """Score as in `Reward`; the breakdown holds every weighted component."""
        check_counts(posts, replies)
        breakdown: dict[str, Floats] = {}
        values = np.zeros(len(replies))
        for component, weight in self.config.weights.items():
            label = f"heuristic/{component}"
            part = checked(label, lambda: self._component(component, posts, replies), len(replies))  # noqa: B023 called at once
            breakdown[label] = part
            values += weight * part
        return RewardScores(values, breakdown | {"heuristic/value": values})

    def _component(self, name: str, posts: Sequence[str], replies: Sequence[str]) -> Floats:
        if name == "relevance":
            return self._relevance(posts, replies)
        values = [self._of_pair(name, post, reply) for post, reply in zip(posts, replies, strict=True)]
        return np.array(values, dtype=np.float64)

    def _of_pair(self, name: str, post: str, reply: str) -> float:
        words = len(words_of(reply))
        if words == 0:
            return 0.0
        match name:
            case "length":
                beyond = max(0, words - self.config.max_words) / self.config.max_words
                return max(0.0, min(1.0, words / self.config.min_words) - beyond)
            case "repetition":
                return max(0.0, 1 - 2 * repeated_share(reply))
            case "echo":
                return max(0.0, 1 - 2 * echo_share(post, reply))
            case "well_formed":
                return plain_share(reply) ** 2
        raise InputError(f"there is no component {name!r}")

    def _relevance(self, posts: Sequence[str], replies: Sequence[str]) -> Floats:
        pairs = list(zip(posts, replies, strict=True))
        shared = [len(content_words(post) & content_words(reply)) for post, reply in pairs]
        relevance = 1 - 0.5 ** np.array(shared, dtype=np.float64)
        if self.encode is not None and pairs:
            left, right = (np.asarray(self.encode(list(texts)), dtype=np.float64) for texts in (posts, replies))
            relevance = (relevance + np.clip((left * right).sum(axis=1), 0, 1)) / 2
        return relevance * np.array([self._of_pair("echo", post, reply) for post, reply in pairs], dtype=np.float64)


@dataclass(frozen=True)
class CompositeReward:
    """A weighted mean of rewards; the weights sum to 1."""

    parts: tuple[tuple[float, Reward], ...]
    name: str = "composite"

    def score(self, posts: Sequence[str], replies: Sequence[str]) -> RewardScores:
        """Score as in `Reward`; the breakdown is that of all parts together."""
        check_counts(posts, replies)
        values = np.zeros(len(replies))
        breakdown: dict[str, Floats] = {}
        for weight, reward in self.parts:
            found = attempt(reward.name, lambda: reward.score(posts, replies))  # noqa: B023 called at once
            values += weight * checked(reward.name, lambda: found.values, len(replies))  # noqa: B023 called at once
            breakdown |= found.breakdown
        return RewardScores(values, breakdown | {"composite/value": values})


def build_reward(config: RewardConfig, reward_model: Path | None = None, encode: Encode | None = None) -> Reward:
    """Make the reward that a config names.

    Args:
        config: one of the kinds.
        reward_model: folder of the trained reward model; `learned` needs it.
        encode: texts to unit vectors (K, D), for the heuristic's relevance; without it, words alone count.

    Raises:
        InputError: `learned` without a folder.
        ArtifactError: there is no reward model in the folder.
    """
    match config:
        case LearnedRewardConfig():
            if reward_model is None:
                raise InputError("reward kind 'learned' needs a trained reward model; none was given")
            return LearnedReward(load_reward_model(reward_model))
        case HeuristicRewardConfig():
            return HeuristicReward(config, encode)
        case CompositeRewardConfig():
            parts = [(part.weight, build_reward(part.reward, reward_model, encode)) for part in config.parts]
            return CompositeReward(tuple(parts))


def content_words(text: str) -> set[str]:
    """Words that carry a subject: three letters or more, and not of the grammar."""
    return {word for word in words_of(text) if len(word) >= CONTENT_LETTERS} - set(GRAMMAR.split())


def check_counts(posts: Sequence[str], replies: Sequence[str]) -> None:
    """Raise InputError where posts and replies are not as many."""
    if len(posts) != len(replies):
        raise InputError(f"{len(posts)} posts for {len(replies)} replies: one each is needed")


def attempt(name: str, compute: Callable[[], T]) -> T:
    """What a component returns; where it fails without saying who it is, a TrainingError that names it."""
    try:
        return compute()
    except PolymlopsError:
        raise
    except Exception as error:
        raise TrainingError(f"reward {name}: failed with {type(error).__name__}: {error}") from error


def checked(name: str, compute: Callable[[], Any], count: int) -> Floats:
    """The values of a component, (count,), all finite; else a TrainingError that names it."""
    values = np.asarray(attempt(name, compute), dtype=np.float64)
    if values.shape != (count,):
        raise TrainingError(f"reward {name}: returned values of shape {values.shape} for {count} replies")
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise TrainingError(f"reward {name}: {bad} of {count} values are NaN or infinite")
    return values
