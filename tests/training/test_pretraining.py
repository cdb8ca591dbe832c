"""Packing keeps every document whole; tokens are cut the same way in training and in sampling."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymlops.config.base_models import EmbeddedModelConfig
from polymlops.data.world_documents import Document, pretraining_documents
from polymlops.errors import DataQualityError
from polymlops.generation.encoding import encode_chat
from polymlops.models.loading import load_tokenizer
from polymlops.training.optimizer import MuonAdamW
from polymlops.training.pretraining import IGNORED, answer_labels, build_base_model, encode_document, pack


@given(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=30), min_size=1, max_size=30))
def test_packing_keeps_every_document_in_one_piece(documents):
    rows = pack([(tokens, [t + 100 for t in tokens]) for tokens in documents], width=32)
    found = []
    for ids, labels, positions in zip(*(rows[key] for key in ("input_ids", "labels", "position_ids")), strict=True):
        starts = [*np.flatnonzero(positions == 0), len(ids)]
        for start, stop in itertools.pairwise(starts):
            assert positions[start:stop].tolist() == list(range(stop - start))
            if ids[start]:  # not padding
                assert (labels[start:stop] == ids[start:stop] + 100).all()
                found.append(ids[start:stop].tolist())
            else:
                assert (labels[start:stop] == IGNORED).all()
    assert sorted(found) == sorted(documents)


def test_documents_in_one_row_do_not_see_each_other(tiny_model):
    first, second = [5, 6, 7, 8], [9, 10, 11]
    rows = pack([(first, first), (second, second)], width=7)
    ids, positions = torch.from_numpy(rows["input_ids"]), torch.from_numpy(rows["position_ids"])
    with torch.no_grad():
        packed = tiny_model(input_ids=ids, position_ids=positions, use_cache=False).logits[0, 4:]
        alone = tiny_model(torch.tensor([second])).logits[0]
    torch.testing.assert_close(packed, alone, rtol=1e-4, atol=1e-4)


def test_only_the_assistant_is_learned(small_base):
    tokenizer = load_tokenizer(small_base)
    messages = (("user", "my week"), ("assistant", "same here"), ("user", "why?"), ("assistant", "so true"))
    tokens = encode_document(Document("social", messages), tokenizer)
    learned = [token for token in answer_labels(tokens, tokenizer) if token != IGNORED]
    assert tokenizer.decode(learned) == "same here<|im_end|>so true<|im_end|>"


def test_the_optimizer_resumes_where_it_was():
    def steps(optimizer, schedule, model, count):
        for _ in range(count):
            model(torch.ones(2, 4)).pow(2).sum().backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()

    def fresh():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 3))
        optimizer = MuonAdamW(model, 0.01)
        return model, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))

    whole, optimizer, schedule = fresh()
    steps(optimizer, schedule, whole, 6)
    half, optimizer, schedule = fresh()
    steps(optimizer, schedule, half, 3)
    states = copy.deepcopy([half.state_dict(), optimizer.state_dict(), schedule.state_dict()])
    resumed, optimizer, schedule = fresh()
    for part, state in zip((resumed, optimizer, schedule), states, strict=True):
        part.load_state_dict(state)
    steps(optimizer, schedule, resumed, 3)
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert {id(group) for group in optimizer.param_groups} == {
        id(group) for inner in (optimizer.muon, optimizer.adamw) for group in inner.param_groups
    }


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
    config = EmbeddedModelConfig(hidden=32, layers=1, heads=2, vocabulary=500, documents=200, steps=1, batch=2)
    with pytest.raises(DataQualityError, match=r"raise base_model\.steps"):
        build_base_model(config, small_dataset, make_job())
