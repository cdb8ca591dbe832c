"""How likely a language model finds replies, token by token, and how much a post shifts that against other posts.

The shift is the pointwise mutual information of reply and post, in nats a token. What a reply takes up from its post
(its subject, its tone) is likelier after it than after others; what fits any post is not.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.data.prompts import chat
from polymlops.errors import InputError
from polymlops.generation.encoding import encode_answer, encode_chat
from polymlops.models.loading import load_base, load_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from polymlops.metrics.arrays import Floats

BATCH = 256  # replies that are read together


@dataclass(frozen=True)
class ReplyLikelihood:
    """A causal language model that reads replies; from float32 in float64, so that batches don't change its numbers."""

    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, folder: Path) -> ReplyLikelihood:
        """Load the model in a folder for reading; one of lower precision stays as it is, its size is why."""
        import torch

        model: Any = load_base(folder)
        return cls(model.double() if model.dtype == torch.float32 else model, load_tokenizer(folder))

    def log_probs(self, posts: Sequence[str], replies: Sequence[str]) -> list[Floats]:
        """Log-probability of each token of each reply after its post, the end of the turn included; in nats.

        A reply is cut where the context ends.

        Raises:
            InputError: a post leaves no room for a reply.
        """
        tokens = [self._reply_tokens(reply) for reply in replies]
        result: list[Floats] = [np.zeros(0)] * len(tokens)
        for post, members in _positions(posts).items():
            for index, values in zip(members, self._after(post, [tokens[i] for i in members]), strict=True):
                result[index] = values
        return result

    def _reply_tokens(self, reply: str) -> list[int]:
        return [*encode_answer(self.tokenizer, reply), self.tokenizer.eos_token_id]

    def _after(self, post: str, replies: Sequence[list[int]]) -> list[Floats]:
        """Log-probabilities of many replies to one post, which is read once."""
        import torch

        prefix = encode_chat(self.tokenizer, chat(post))
        room = int(self.model.config.max_position_embeddings) - len(prefix)
        if room < 1:
            raise InputError(f"a post of {len(prefix)} tokens leaves no room for a reply: {post[:60]!r}")
        order = sorted(range(len(replies)), key=lambda i: len(replies[i]))
        result: list[Floats] = [np.zeros(0)] * len(replies)
        with torch.inference_mode():
            read = self.model(
                input_ids=torch.tensor([prefix], device=self.model.device), use_cache=True, logits_to_keep=1
            )
            for start in range(0, len(order), BATCH):
                block = order[start : start + BATCH]
                values = self._continue(read, [replies[i][:room] for i in block])
                for index, row in zip(block, values, strict=True):
                    result[index] = row
        return result

    def _continue(self, read: Any, replies: Sequence[list[int]]) -> list[Floats]:
        import torch

        width = max(len(tokens) for tokens in replies)
        rows = [[*tokens, *[0] * (width - len(tokens))] for tokens in replies]
        ids_RT = torch.tensor(rows, device=self.model.device)  # causal: the padding behind changes nothing before it
        cache = copy.deepcopy(read.past_key_values)
        cache.batch_repeat_interleave(len(replies))
        logits = self.model(input_ids=ids_RT, past_key_values=cache, use_cache=True).logits[:, :-1]
        first = read.logits[:, -1:].expand(len(replies), 1, -1)
        log_probs = torch.cat([first, logits], dim=1).double().log_softmax(-1)
        scores = log_probs.gather(-1, ids_RT[..., None])[..., 0].cpu()
        return [row[: len(tokens)].numpy() for row, tokens in zip(scores, replies, strict=True)]


@dataclass(frozen=True, slots=True)
class ReadReply:
    """A reply as the model reads it; both (T,), in nats."""

    log_probs_T: Floats
    shift_T: Floats


def read_replies(
    reader: ReplyLikelihood, references: Sequence[str], posts: Sequence[str], replies: Sequence[str]
) -> list[ReadReply]:
    """Log-probabilities after the reply's own post, and their excess over the mean after the reference posts."""
    unique = sorted(set(replies))
    background: dict[str, NDArray[Any]] = {}
    for reference in references:
        for reply, values in zip(unique, reader.log_probs([reference] * len(unique), unique), strict=True):
            background[reply] = _sum(background.get(reply), values)
    own = reader.log_probs(posts, replies)
    return [
        ReadReply(values, _difference(values, background[reply] / len(references)))
        for reply, values in zip(replies, own, strict=True)
    ]


def _sum(total: NDArray[Any] | None, values: Floats) -> Floats:
    return values if total is None else total[: len(values)] + values[: len(total)]


def _difference(values: Floats, background: Floats) -> Floats:
    shared = min(len(values), len(background))  # a long reply may be cut earlier after a longer post
    return values[:shared] - background[:shared]


def _positions(posts: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, post in enumerate(posts):
        found.setdefault(post, []).append(index)
    return found
