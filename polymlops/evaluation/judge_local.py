"""A transformers chat model as a judge: greedy, the same prompts and the same strict reading as an endpoint's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from polymlops.config.judge import LocalJudgeConfig
from polymlops.errors import InputError
from polymlops.evaluation.judge_parsing import REASON, Form
from polymlops.evaluation.judge_prompts import JOINER, Message, Question
from polymlops.evaluation.judge_replies import Reply
from polymlops.generation.decoding import end_tokens
from polymlops.generation.encoding import decode
from polymlops.models.loading import load_tokenizer

if TYPE_CHECKING:
    import torch


class LocalJudge:
    """The backend `local`: one question at a time."""

    lanes, tries = 1, 1

    def __init__(self, config: LocalJudgeConfig) -> None:
        self.name = config.path.name
        self.config = config
        self.identity = config.identity
        self._tokenizer = load_tokenizer(config.path)
        if not getattr(self._tokenizer, "chat_template", None):
            raise InputError(f"{config.path}: the tokenizer has no chat template; a judge must be a chat model")
        self._controls = [token for token in self._tokenizer.get_added_vocab() if len(token) > 1]
        self._model = _load(config)

    def reply(self, question: Question) -> Reply:
        """Let the model write an answer, or choose the likeliest one; declined where the question is too long."""
        prompt = self._prompt(question.messages)
        tokens = self._encode(prompt)
        context = int(self._model.config.max_position_embeddings)
        room = self.config.max_output_tokens
        if len(tokens) + room > context:
            fault = f"the question has {len(tokens)} tokens and leaves no room for {room} in a context of {context}"
            return Reply(None, fault, declined=True, dollars=0.0)
        if self.config.scoring == "likelihood":
            text = self._likeliest(prompt, question.form)
            return Reply(text, input_tokens=len(tokens), output_tokens=len(self._encode(text)), dollars=0.0)
        written = self._write(tokens)
        ended = bool(written) and written[-1] in end_tokens(self._model)
        text = decode(self._tokenizer, written[:-1] if ended else written)
        fault = "" if ended else f"the answer was cut at max_output_tokens: {text[:80]!r}"
        return Reply(text if ended else None, fault, False, len(tokens), len(written), 0.0)

    def _prompt(self, messages: Sequence[Message]) -> str:
        """The chat as text; a special token of this very tokenizer that a message holds is broken first."""
        chat = [{"role": message.role, "content": self._broken(message.content)} for message in messages]
        text: Any = self._tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return str(text)

    def _broken(self, content: str) -> str:
        for token in self._controls:
            content = content.replace(token, token[0] + JOINER + token[1:])
        return content

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _write(self, tokens: Sequence[int]) -> list[int]:
        import torch
        from transformers import GenerationConfig

        ids = torch.tensor([list(tokens)], device=self._model.device)
        ends = end_tokens(self._model)
        greedy = GenerationConfig(
            do_sample=False, max_new_tokens=self.config.max_output_tokens, eos_token_id=ends, pad_token_id=ends[0]
        )
        with torch.no_grad():
            found = self._model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=greedy)
        return [int(token) for token in found[0, len(tokens) :]]

    def _likeliest(self, prompt: str, form: Form) -> str:
        """Fill the form place by place: each gets the option whose text, up to the next mark, is most probable."""
        text = '{"' + REASON + '": ""'
        for field in form.fields:
            text += f', "{field.name}": '
            close = "}" if field is form.fields[-1] else ","
            scores = self._log_probs(prompt + text, [json.dumps(option) + close for option in field.options])
            text += json.dumps(field.options[int(scores.argmax())])
        return text + "}"

    def _log_probs(self, before: str, options: Sequence[str]) -> torch.Tensor:
        """Log-probability of each option after a text, (options,)."""
        import torch

        rows = [self._encode(before + option) for option in options]
        shared = next(place for place in range(min(map(len, rows))) if len({row[place] for row in rows}) > 1)
        tails = [row[shared:] for row in rows]
        width = max(map(len, tails))
        ids = torch.tensor([rows[0][:shared] + tail + [tail[-1]] * (width - len(tail)) for tail in tails])
        with torch.no_grad():  # what pads on the right is seen by nothing that counts
            logits = self._model(ids.to(self._model.device), logits_to_keep=width + 1).logits[:, :-1]
        log_probs = torch.log_softmax(logits.float(), -1).cpu()
        own = log_probs.gather(2, ids[:, shared:, None])[:, :, 0]
        inside = torch.arange(width) < torch.tensor([len(tail) for tail in tails])[:, None]
        return torch.where(inside, own, torch.zeros_like(own)).sum(1)


def _load(config: LocalJudgeConfig) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    dtype = torch.float32 if config.device == "cpu" else "auto"
    model: Any = AutoModelForCausalLM.from_pretrained(config.path, dtype=dtype)
    return model.to(config.device).eval()
