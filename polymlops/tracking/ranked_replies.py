"""A registered adapter at work: a post goes in, k candidates come out, the one that the reward likes best first.

What it needs lies in the model's own folder (adapter, base and reward model) or on a hub under a pinned revision (a
base that is too large to copy). Nothing here knows of MLflow; `ranked_replies_code.py` is what MLflow runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, ValidationError

from polymlops.config.rewards import HeuristicRewardConfig, LearnedRewardConfig
from polymlops.config.sampling import SamplingConfig
from polymlops.config.section import Section
from polymlops.data.prompts import chat
from polymlops.errors import InputError
from polymlops.generation.decoding import Decoding, prompt_key, sample_candidates
from polymlops.generation.encoding import decode_candidate, encode_chat
from polymlops.models.loading import load_tokenizer, load_with_adapter

if TYPE_CHECKING:
    import pandas as pd

    from polymlops.training.rewards import Reward

MOST_CANDIDATES = 1000
POST = "post"


class ReplySettings(Section):
    """How replies are drawn; k, temperature and seed can be changed by each call."""

    k: int = Field(ge=1, le=MOST_CANDIDATES, description="candidates a post")
    temperature: float = Field(gt=0)
    seed: int = Field(ge=0, description="of the draws; a post's draws depend on it and the post alone")
    top_p: float = Field(gt=0, le=1)
    top_k: int = Field(ge=0, description="0 is off")
    max_new_tokens: int = Field(ge=1)
    batch: int = Field(ge=1, description="sequences decoded together")

    @classmethod
    def of(cls, sampling: SamplingConfig) -> ReplySettings:
        """Those with which the arms were evaluated."""
        return cls(k=sampling.n, **sampling.model_dump(include=cls.model_fields.keys() - {"k"}))

    def changed(self, changes: Mapping[str, Any]) -> ReplySettings:
        """The settings with other values.

        Raises:
            InputError: a value that makes no sense, or an unknown name.
        """
        try:
            return ReplySettings.model_validate(self.model_dump() | dict(changes))
        except ValidationError as error:
            fault = error.errors()[0]
            name = ".".join(str(part) for part in fault["loc"])
            raise InputError(f"{name} = {fault['input']!r}: {fault['msg']}") from None


class HubBase(Section):
    """A base model that is fetched from a hub instead of being copied into every version."""

    model_id: str = Field(min_length=1, description="organisation/name")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="commit: a branch may move")

    def folder(self) -> Path:
        """The model's folder in the local hub cache, downloaded where it is not there."""
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(self.model_id, revision=self.revision))


@dataclass(frozen=True, slots=True)
class RankedReply:
    """One candidate for a post; rank 1 has the highest score."""

    post: str
    rank: int
    reply: str
    score: float


@dataclass(frozen=True)
class RankedReplies:
    """A base with its adapter, and the reward that ranks what it says."""

    model: Any
    tokenizer: Any
    reward: Reward
    settings: ReplySettings

    @classmethod
    def load(cls, base: Path, adapter: Path, reward: Path | None, settings: ReplySettings) -> RankedReplies:
        """Load from folders; without a reward model, the heuristic reward (words alone) ranks.

        Raises:
            InputError: there is no adapter in its folder, or it was made for another base.
            ArtifactError: there is no reward model in its folder.
        """
        from polymlops.training.rewards import build_reward

        config = HeuristicRewardConfig() if reward is None else LearnedRewardConfig()
        return cls(load_with_adapter(base, adapter), load_tokenizer(base), build_reward(config, reward), settings)

    def rank(self, posts: Sequence[str], changes: Mapping[str, Any] | None = None) -> list[RankedReply]:
        """Draw k candidates for each post and rank them; the posts in order, equal scores in the order of drawing.

        Candidates are independent draws, so two may be the same text: that is what Pass@k and USQ measure. What a post
        gets depends on the post, the seed and the settings, not on the other posts; a larger k keeps the earlier draws.

        Raises:
            InputError: a post that is empty or too long, or settings that make no sense.
            TrainingError: the reward failed.
        """
        settings = self.settings.changed(changes or {})
        encoded = [self._encode(number, post, settings) for number, post in enumerate(posts)]
        replies = self._draw(posts, encoded, settings)
        asked = [post for post in posts for _ in range(settings.k)]
        scores_PK = self.reward.score(asked, replies).values.reshape(len(posts), settings.k)
        ranked = []
        for place, (post, scores_K) in enumerate(zip(posts, scores_PK, strict=True)):
            order = np.argsort(-scores_K, kind="stable")
            own = replies[place * settings.k : (place + 1) * settings.k]
            ranked += [
                RankedReply(post, rank, own[index], float(scores_K[index])) for rank, index in enumerate(order, 1)
            ]
        return ranked

    def _draw(self, posts: Sequence[str], encoded: Sequence[list[int]], settings: ReplySettings) -> list[str]:
        """K replies for each post, in order."""
        decoding = Decoding(settings.temperature, settings.top_p, settings.top_k, settings.max_new_tokens)
        keys = [prompt_key(settings.seed, post) for post in posts]
        together = max(1, settings.batch // settings.k)
        texts = []
        for start in range(0, len(posts), together):
            part = slice(start, start + together)
            groups = sample_candidates(self.model, encoded[part], keys[part], settings.k, decoding)
            texts += [decode_candidate(self.tokenizer, candidate) for group in groups for candidate in group]
        return texts

    def _encode(self, number: int, post: str, settings: ReplySettings) -> list[int]:
        if not isinstance(post, str) or not post.strip():
            raise InputError(f"post {number} is {post!r}: each post must be a text that is not empty")
        tokens = encode_chat(self.tokenizer, chat(post))
        context = int(self.model.config.max_position_embeddings)
        if len(tokens) + settings.max_new_tokens > context:
            raise InputError(
                f"post {number} has {len(tokens)} tokens and leaves no room for {settings.max_new_tokens} more in a "
                f"context of {context}; shorten it: {post[:60]!r}"
            )
        return tokens


def load_ranked_replies(folders: Mapping[str, str], config: Mapping[str, Any]) -> RankedReplies:
    """Load what a model's folder holds.

    Args:
        folders: by role, `adapter` and, where they were copied, `base` and `reward`.
        config: `settings`, and `base` where a hub has it.

    Raises:
        InputError: an adapter that is missing or of another base.
        ArtifactError: there is no reward model in its folder.
    """
    paths = {role: Path(folder) for role, folder in folders.items()}
    base = paths["base"] if "base" in paths else HubBase.model_validate(config["base"]).folder()
    settings = ReplySettings.model_validate(config["settings"])
    return RankedReplies.load(base, paths["adapter"], paths.get("reward"), settings)


def posts_of(frame: pd.DataFrame) -> list[str]:
    """The posts of a table that MLflow made of a list, a column or a table of the caller's.

    Raises:
        InputError: its column has another name than `post`.
    """
    column = frame.columns[0]
    if column not in (POST, 0):  # a list's only column has the number 0
        raise InputError(f"column {column!r}: give posts as a list of texts, or as a table with one column, {POST!r}")
    return frame[column].tolist()
