"""The embedded world's truth as a judge: offline, free, and right by definition.

A text of true quality q in [0, 1] gets 1 + 9 q, rounded half up, under every criterion: the world knows one quality,
not four. Of two texts the one of higher quality wins; equal ones tie.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict

from polymlops.config.judge import HIGHEST, LOWEST, TruthJudgeConfig
from polymlops.data.truth import Truth
from polymlops.data.world_people import QUALITY_VERSION
from polymlops.data.world_stories import parse_story_prompt, story_quality
from polymlops.errors import InputError
from polymlops.evaluation.judge_prompts import Question
from polymlops.evaluation.judge_replies import Reply

SAME = 1e-9  # qualities closer than this are equal


class TruthJudge:
    """The backend `truth`."""

    lanes, tries = 1, 1

    def __init__(self, config: TruthJudgeConfig, truth: Truth | None) -> None:
        if config.domain == "social" and truth is None:
            raise InputError(
                "the truth of social replies needs the posts of the prepared dataset: give load_truth(...)"
            )
        self.name = f"truth-{config.domain}"
        self._truth = truth if config.domain == "social" else None

    @property
    def identity(self) -> str:
        """Which world judges: for social replies, of which posts."""
        if self._truth is None:
            return f"{self.name}:{QUALITY_VERSION}"
        posts = json.dumps({key: asdict(post) for key, post in self._truth.posts.items()}, sort_keys=True)
        return f"{self.name}:{QUALITY_VERSION}:{hashlib.sha256(posts.encode()).hexdigest()[:16]}"

    def reply(self, question: Question) -> Reply:
        """Answer as a model would, in JSON.

        Raises:
            InputError: the prompt is none of this world.
        """
        qualities = [self._quality(question, text) for text in question.texts]
        if len(qualities) == 1:
            values: list[int | str] = [score_of(qualities[0])] * len(question.form.fields)
        else:
            values = [choice_of(*qualities)]
        reason = "true quality " + ", ".join(f"{quality:.3f}" for quality in qualities)
        return Reply(question.form.fill(values, reason), input_tokens=0, output_tokens=0, dollars=0.0)

    def _quality(self, question: Question, text: str) -> float:
        if self._truth is not None:
            return self._truth.judge(question.prompt_id, text).quality
        if parse_story_prompt(question.prompt) is None:
            raise InputError(
                f"{question.prompt[:80]!r} is no story prompt of the embedded world, which judges only its own"
            )
        return story_quality(question.prompt, text)


def score_of(quality: float) -> int:
    """A whole number from 1 to 10 for a quality in [0, 1]."""
    return LOWEST + math.floor((HIGHEST - LOWEST) * quality + 0.5 + SAME)


def choice_of(first: float, second: float) -> str:
    """The better of the two texts shown, or a tie."""
    if abs(first - second) < SAME:
        return "tie"
    return "A" if first > second else "B"
