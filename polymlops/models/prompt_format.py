"""How a model that is taken as it is gets asked: its own chat template, or a plain format; pad and end tokens.

Everything downstream speaks in chats. A tokenizer with a template keeps it, with thinking switched off where the
template knows the switch. One without (a base model) gets a plain format: prompt, separator, completion, end token;
earlier pairs end with a blank line. A separator that is a blank belongs to the completion, because tokenizers join it
to the word behind it; any other ends the prompt.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from polymlops.errors import InputError

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerFast

THINKING_OFF = "{%- set enable_thinking = false %}"
PAIR_END = "\n\n"
PROBE = "zebra"  # a word whose place in a rendered chat is looked for


def prepare_tokenizer(folder: Path, separator: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a model's folder, ready to be asked in chats; it pads on the left.

    Raises:
        InputError: there is none, it is no fast one, or nothing ends a text.
    """
    tokenizer, ends = _load(folder), end_ids(folder)
    if not tokenizer.chat_template:
        # The end token that the model itself puts first is one that it was trained on; the tokenizer's own may not be,
        # and an adapter cannot teach a token whose embedding means nothing.
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ends[0]) if ends else tokenizer.eos_token
        tokenizer.chat_template = plain_template(separator, _begins_with_bos(tokenizer))
    elif "enable_thinking" in tokenizer.chat_template:
        tokenizer.chat_template = THINKING_OFF + tokenizer.chat_template
    _choose_end(tokenizer, ends, folder)
    if tokenizer.pad_token is None:
        # Masks come from lengths, never from this token, so that it may be one that means something.
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def plain_template(separator: str, begins_with_bos: bool) -> str:
    """The chat template of a model that only continues text."""
    before, behind = ("", separator) if separator.isspace() and "\n" not in separator else (separator, "")
    begin = "{{ bos_token }}" if begins_with_bos else ""
    pair_end = f"{{{{ {_literal(PAIR_END)} if not loop.last else eos_token }}}}"
    return (
        f"{begin}{{% for message in messages %}}"
        "{% if message['role'] == 'assistant' %}"
        f"{{{{ {_literal(behind)} + message['content'] }}}}{pair_end}"
        f"{{% else %}}{{{{ message['content'] + {_literal(before)} }}}}{{% endif %}}"
        "{% endfor %}"
    )


def generation_config(folder: Path, tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    """End tokens, the trained one first, and the pad token; nothing else of a model's own settings is used."""
    from transformers import GenerationConfig

    ends = [tokenizer.eos_token_id, *end_ids(folder)]
    return GenerationConfig(
        eos_token_id=list(dict.fromkeys(ends)), pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id
    )


def end_ids(folder: Path) -> list[int]:
    """The token ids that end a text by the model's own files; there may be several, or none."""
    from transformers import AutoConfig, GenerationConfig

    own: Any = None
    if (folder / "generation_config.json").is_file():
        own = GenerationConfig.from_pretrained(folder).eos_token_id
    if own is None:
        own = AutoConfig.from_pretrained(folder).get_text_config().eos_token_id
    return list(own) if isinstance(own, list | tuple) else [] if own is None else [int(own)]


def _load(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left", local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{folder}: no tokenizer can be loaded ({first}): put its tokenizer.json there") from error
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"{folder}: the tokenizer has no fast version: save it as tokenizer.json (tokenizers library)")
    return tokenizer


def _choose_end(tokenizer: Any, ends: list[int], folder: Path) -> None:
    """Let the tokenizer's end token be the one that closes an answer in its chats."""
    if tokenizer.eos_token is None and ends:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ends[0])
    if tokenizer.eos_token is None:
        raise InputError(
            f"{folder}: no end token: neither the tokenizer nor the model's config names one, so that no text would "
            "end: set eos_token in tokenizer_config.json"
        )
    turn_end = _turn_end(tokenizer)
    if turn_end is not None:
        tokenizer.eos_token = turn_end


def _turn_end(tokenizer: Any) -> str | None:
    """The special token that follows an answer in the chat template."""
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": PROBE}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    following = tokenizer(text[text.rfind(PROBE) + len(PROBE) :], add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
    return next((tokenizer.convert_ids_to_tokens(token) for token in following if token in special), None)


def _begins_with_bos(tokenizer: Any) -> bool:
    return tokenizer.bos_token_id is not None and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]


def _literal(text: str) -> str:
    """A text as Jinja writes it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\t", "\\t") + "'"
