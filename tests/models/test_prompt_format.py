"""Chats of a chat model and of one that only continues: what is asked, where an answer begins and what ends it."""

from __future__ import annotations

import json
import shutil

import pytest
from given_models import llama_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.data.prompts import chat
from polymlops.errors import InputError
from polymlops.generation.encoding import encode_answer, encode_chat
from polymlops.models.prompt_format import generation_config, prepare_tokenizer

ANSWERED = [*chat("how was it?"), {"role": "assistant", "content": "it was good."}]
PLAIN_TEXT = st.text("abc xyz.,?!'-", min_size=1, max_size=40).filter(lambda text: text.strip() == text)


def rendered(tokenizer, messages, **more):
    return tokenizer.apply_chat_template(messages, tokenize=False, **more)


def tokens(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(("folder", "separator"), [("qwen3", "\n"), ("llama", "\n"), ("llama", " "), ("llama", " ##")])
def test_what_is_asked_begins_what_is_trained_on(folder, separator, request):
    tokenizer = prepare_tokenizer(request.getfixturevalue(f"{folder}_folder"), separator)
    prompt, whole = encode_chat(tokenizer, chat("how was it?")), tokens(tokenizer, rendered(tokenizer, ANSWERED))
    answer = encode_answer(tokenizer, "it was good.")
    assert whole[: len(prompt)] == prompt
    assert whole[len(prompt) : len(prompt) + len(answer)] == answer
    assert whole[len(prompt) + len(answer)] == tokenizer.eos_token_id
    assert tokenizer.decode(answer).strip() == "it was good."


@settings(deadline=None, max_examples=60)
@given(post=PLAIN_TEXT, reply=PLAIN_TEXT, separator=st.sampled_from(["\n", " ", "\n\n"]))
def test_any_answer_is_read_as_it_is_trained_on(llama_folder, post, reply, separator):
    tokenizer = prepare_tokenizer(llama_folder, separator)
    whole = tokens(tokenizer, rendered(tokenizer, [*chat(post), {"role": "assistant", "content": reply}]))
    prompt = encode_chat(tokenizer, chat(post))
    assert whole == [*prompt, *encode_answer(tokenizer, reply), tokenizer.eos_token_id]


def test_thinking_is_off_where_the_template_has_it(qwen3_folder):
    prompt = rendered(prepare_tokenizer(qwen3_folder, "\n"), chat("how was it?"), add_generation_prompt=True)
    assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize(
    ("separator", "expected"), [("\n", "<s>a\nb\n\nhow?\n"), (" ", "<s>a b\n\nhow?"), (" => ", "<s>a => b\n\nhow? => ")]
)
def test_the_plain_format_with_an_example(llama_folder, separator, expected):
    tokenizer = prepare_tokenizer(llama_folder, separator)
    assert rendered(tokenizer, chat("how?", [("a", "b")]), add_generation_prompt=True) == expected


def test_every_end_token_ends_a_text_the_one_that_is_trained_first(qwen3_folder, llama_folder):
    for folder, ends, pad in ((qwen3_folder, [2, 0], 0), (llama_folder, [1, 2], 0)):
        config = generation_config(folder, prepare_tokenizer(folder, "\n"))
        assert (config.eos_token_id, config.pad_token_id, config.temperature) == (ends, pad, None)


def test_the_turn_end_of_the_template_ends_an_answer(qwen3_folder, tmp_path):
    folder = shutil.copytree(qwen3_folder, tmp_path / "base")
    about = folder / "tokenizer_config.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"eos_token": "<|endoftext|>"}))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 0}))
    tokenizer = prepare_tokenizer(folder, "\n")
    assert tokenizer.eos_token == "<|im_end|>"
    assert generation_config(folder, tokenizer).eos_token_id == [2, 0]


@pytest.mark.parametrize(
    ("missing", "pad"), [({"pad_token": None}, "<unk>"), ({"pad_token": None, "unk_token": None}, "<s>")]
)
def test_a_pad_token_is_found(llama_folder, tmp_path, missing, pad):
    folder = shutil.copytree(llama_folder, tmp_path / "llama")
    llama_tokenizer(**missing).save_pretrained(folder)
    assert prepare_tokenizer(folder, "\n").pad_token == pad


def test_an_end_token_comes_from_the_model_or_is_asked_for(llama_folder, tmp_path):
    folder = shutil.copytree(llama_folder, tmp_path / "llama")
    llama_tokenizer(eos_token=None).save_pretrained(folder)
    assert prepare_tokenizer(folder, "\n").eos_token == "<s>"  # the first that its generation config names
    (folder / "generation_config.json").unlink()
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"eos_token_id": None}))
    with pytest.raises(InputError, match=r"no end token: .*set eos_token in tokenizer_config\.json"):
        prepare_tokenizer(folder, "\n")


def test_a_folder_without_a_tokenizer_is_named(llama_folder, tmp_path):
    folder = shutil.copytree(llama_folder, tmp_path / "llama")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(InputError, match="no tokenizer can be loaded"):
        prepare_tokenizer(folder, "\n")
