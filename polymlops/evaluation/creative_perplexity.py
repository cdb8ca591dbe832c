"""How likely the base model finds each text after its prompt: fluency by a model that none of the arms has trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polymlops.data.prompts import chat
from polymlops.generation.decoding import end_tokens
from polymlops.generation.encoding import encode_answer, encode_chat
from polymlops.models.loading import load_base, load_tokenizer

if TYPE_CHECKING:
    import torch

BATCH_LOGITS = 2**26  # numbers of one forward pass, 256 MB
PAD = 0  # behind a text, in a causal model, it changes nothing before it


@dataclass(frozen=True, slots=True)
class Text:
    """A text to read after a prompt; `finished` where it ended by itself, and so its end is read as well."""

    prompt: str
    text: str
    finished: bool


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-probability of a text, in nats, and the tokens that it sums over, the end included; no token, no meaning."""

    logprob: float
    tokens: int


@dataclass(frozen=True, slots=True)
class _Encoded:
    prefix: int
    tokens: list[int]
    ends: bool


@dataclass(frozen=True, slots=True)
class BaseReader:
    """A loaded base model that reads texts."""

    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, base: Path) -> BaseReader:
        """The model in a folder."""
        return cls(load_base(base), load_tokenizer(base))

    def likelihoods(self, texts: Sequence[Text]) -> list[Likelihood]:
        """Read texts as a reply in the model's chat or, without a chat template, as a continuation.

        What the context does not hold is not read. A text that ended by itself may end with any of the model's end
        tokens.
        """
        import torch

        config = self.model.config
        encoded = [_encode(self.tokenizer, text, int(config.max_position_embeddings)) for text in texts]
        found = [Likelihood(0.0, 0)] * len(texts)
        with torch.inference_mode():
            for block in _blocks(encoded, int(config.vocab_size)):
                for index, likelihood in zip(block, _read(self.model, [encoded[i] for i in block]), strict=True):
                    found[index] = likelihood
        return found


def _encode(tokenizer: Any, text: Text, context: int) -> _Encoded:
    if tokenizer.chat_template:
        prefix = encode_chat(tokenizer, chat(text.prompt))
        tokens = [*prefix, *encode_answer(tokenizer, text.text)]
        start = len(prefix)
    else:
        # Candidates are kept without the blank that they began with, and words are tokens together with theirs.
        prompt = text.prompt.rstrip()
        tokens = tokenizer(f"{prompt} {text.text}" if text.text else prompt).input_ids
        start = _shared(tokenizer(prompt).input_ids, tokens)
    return _Encoded(start, tokens[:context], text.finished and len(tokens) <= context)


def _shared(prefix: Sequence[int], tokens: Sequence[int]) -> int:
    """How many tokens both begin with."""
    pairs = enumerate(zip(prefix, tokens, strict=False))
    return next((i for i, (ours, theirs) in pairs if ours != theirs), min(len(prefix), len(tokens)))


def _blocks(encoded: Sequence[_Encoded], vocabulary: int) -> Iterator[list[int]]:
    """Indices of texts that are read together: of like length, within the memory for their logits."""
    order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i].tokens))
    start = 0
    while start < len(order):
        longest = max(1, len(encoded[order[start]].tokens))
        size = max(1, BATCH_LOGITS // (longest * vocabulary))
        yield order[start : start + size]
        start += size


def _read(model: Any, block: Sequence[_Encoded]) -> list[Likelihood]:
    import torch

    width = max(len(item.tokens) for item in block)
    ids_BT = torch.tensor([item.tokens + [PAD] * (width - len(item.tokens)) for item in block], device=model.device)
    log_probs_BTV = model(input_ids=ids_BT).logits.float().log_softmax(-1)
    token_BT = log_probs_BTV[:, :-1].gather(-1, ids_BT[:, 1:, None])[..., 0]
    end_BT = log_probs_BTV[:, :, end_tokens(model)].logsumexp(-1)
    return [_sum(item, token_BT[i], end_BT[i]) for i, item in enumerate(block)]


def _sum(item: _Encoded, token_T: torch.Tensor, end_T: torch.Tensor) -> Likelihood:
    """Sum over a text's own tokens; the token at t is predicted at t - 1."""
    if item.prefix == 0:  # nothing comes before the first token, so nothing predicts it
        item = _Encoded(1, item.tokens, item.ends)
    last = len(item.tokens)
    if last < item.prefix:
        return Likelihood(0.0, 0)
    total = float(token_T[item.prefix - 1 : last - 1].double().sum())
    ending = float(end_T[last - 1]) if item.ends else 0.0
    return Likelihood(min(0.0, total + ending), last - item.prefix + item.ends)
