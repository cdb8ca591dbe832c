"""Packing keeps every document whole; tokens are cut the same way in training and in sampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymlops.config.schema import BaseModelConfig
from polymlops.data.world_documents import pretraining_documents
from polymlops.errors import DataQualityError
from polymlops.generation.encoding import encode_chat
from polymlops.models.loading import load_tokenizer
from polymlops.training.pretraining import IGNORED, build_base_model, encode_document, pack


@given(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=30), min_size=1, max_size=30))
def test_packing_keeps_every_document_in_one_piece(documents):
    rows = pack(documents, width=32, pad=0)
    joined = [" ".join(map(str, row[mask == 1])) for row, mask in zip(rows["input_ids"], rows["attention_mask"], strict=True)]
    for document in documents:
        assert any(" ".join(map(str, document)) in row for row in joined)
    assert rows["attention_mask"].sum() == sum(map(len, documents))
    assert ((rows["labels"] == IGNORED) == (rows["attention_mask"] == 0)).all()
    assert np.array_equal(rows["labels"][rows["labels"] != IGNORED], rows["input_ids"][rows["attention_mask"] == 1])


def test_a_prompt_is_cut_as_in_the_document_that_it_begins(small_base):
    tokenizer = load_tokenizer(small_base)
    for document in pretraining_documents(3, 60, frozenset()):
        messages = [{"role": role, "content": content} for role, content in document.messages]
        prompt = encode_chat(tokenizer, messages[:-1])
        assert encode_document(document, tokenizer)[: len(prompt)] == prompt


def test_any_text_survives_the_tokenizer(small_base):
    tokenizer = load_tokenizer(small_base)
    for text in ("  naïve\n\n\tdef f(x):\n        return x\n", "日本語 🎉", "a  b   c"):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_a_model_that_does_not_speak_the_world_fails_the_stage(small_dataset, make_job):
    config = BaseModelConfig(hidden=32, layers=1, heads=2, vocabulary=500, documents=200, steps=1, batch=2)
    with pytest.raises(DataQualityError, match=r"raise base_model\.steps"):
        build_base_model(config, small_dataset, make_job())
