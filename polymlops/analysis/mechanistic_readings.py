"""Models reading the same text: the residual stream after every layer, attention, and what they foretell.

The stream is caught by hooks: transformers' own list of hidden states ends with the *normalised* last state, on which
the logit lens would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polymlops.errors import InputError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Passage:
    """A prompt and a reply as one text; `start` is the last token of the prompt, which foretells the reply's first."""

    prompt_id: str
    tokens: tuple[int, ...]
    start: int

    @property
    def measured(self) -> slice:
        """The positions that are measured: those from which a token of the reply is foretold."""
        return slice(self.start, len(self.tokens) - 1)


@dataclass(frozen=True, slots=True)
class Decoder:
    """The parts that every decoder-only model has: its layers, the final norm, the output head."""

    layers: Any
    norm: Any
    head: Any


def decoder_of(model: Any) -> Decoder:
    """The parts of a causal language model, with or without a PEFT adapter around it.

    Raises: InputError for an architecture that names them otherwise than `layers` and `norm`.
    """
    inner = _unwrapped(model)
    try:
        decoder = inner.get_decoder()
        return Decoder(decoder.layers, decoder.norm, inner.get_output_embeddings())
    except AttributeError as error:
        raise InputError(
            f"{type(inner).__name__}: a decoder with `layers` and a final `norm` is needed ({error})"
        ) from error


@contextmanager
def residual_stream(model: Any) -> Iterator[list[torch.Tensor]]:
    """A list that each forward pass fills: what enters the first layer, then what leaves every layer, (B, T, D)."""
    layers = decoder_of(model).layers
    stream: list[torch.Tensor] = []

    def enter(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        stream[:] = [args[0] if args else kwargs["hidden_states"]]

    def leave(_module: Any, _args: tuple[Any, ...], output: Any) -> None:
        stream.append(output[0] if isinstance(output, tuple) else output)

    hooks = [layers[0].register_forward_pre_hook(enter, with_kwargs=True)]
    hooks += [layer.register_forward_hook(leave) for layer in layers]
    try:
        yield stream
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def eager_attention(model: Any) -> Iterator[None]:
    """Attention computed in the way that gives its weights, and as before afterwards; no other way has them."""
    inner = _unwrapped(model)
    before = inner.config._attn_implementation
    inner.set_attn_implementation("eager")
    try:
        yield
    finally:
        inner.set_attn_implementation(before)


def token_tensor(model: Any, passage: Passage) -> torch.Tensor:
    """A passage as a batch of one, (1, T), where the model is."""
    import torch

    return torch.tensor([passage.tokens], device=next(model.parameters()).device)


def check_passages(passages: Sequence[Passage]) -> None:
    """Raise InputError without passages, for a prompt given twice, or for one without a reply to measure."""
    if not passages:
        raise InputError("no passage to read: give at least one prompt with a reply")
    ids = [passage.prompt_id for passage in passages]
    if len(set(ids)) < len(ids):
        raise InputError("a prompt is given twice; prompts are the unit of every interval")
    for passage in passages:
        if not 1 <= passage.start < len(passage.tokens) - 1:
            where = f"{passage.prompt_id}: start {passage.start} of {len(passage.tokens)} tokens"
            raise InputError(f"{where} leaves no reply, or no prompt")


def _unwrapped(model: Any) -> Any:
    from peft import PeftModel

    return model.get_base_model() if isinstance(model, PeftModel) else model
