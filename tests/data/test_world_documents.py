"""The pretraining corpus: kinds, shapes and shares as stated, and nothing that is to be held out."""

from __future__ import annotations

import re

import numpy as np
import pytest

from polymlops.data.world import Document, World, parse_post, parse_reply, pretraining_documents
from polymlops.data.world_documents import KIND_SHARES
from polymlops.data.world_language import INTENTS, REGISTERS
from polymlops.data.world_stories import parse_story, story_quality


@pytest.fixture(scope="module")
def held() -> frozenset[str]:
    return frozenset(post.text for post in World(0).posts(4_000))


@pytest.fixture(scope="module")
def documents(held) -> list[Document]:
    return list(pretraining_documents(2, 8_000, held))


def social_pairs(documents: list[Document], turns: set[int]) -> list[tuple[str, str]]:
    chosen = [d.messages for d in documents if d.kind == "social" and len(d.messages) in turns]
    return [(messages[i][1], messages[i + 1][1]) for messages in chosen for i in range(0, len(messages), 2)]


def test_kinds_and_shapes(documents):
    assert len(documents) == 8_000
    for kind, share in KIND_SHARES.items():
        assert np.mean([document.kind == kind for document in documents]) == pytest.approx(share, abs=0.02)
    for document in documents:
        assert [role for role, _ in document.messages] == ["user", "assistant"] * (len(document.messages) // 2)
    lengths = [len(document.messages) for document in documents if document.kind == "social"]
    assert set(lengths) == {2, 8}
    assert np.mean(np.array(lengths) == 2) == pytest.approx(0.65, abs=0.03)


def test_the_same_seed_gives_the_same_corpus(documents, held):
    assert list(pretraining_documents(2, 300, held)) == documents[:300]
    assert list(pretraining_documents(3, 300, held)) != documents[:300]


def test_no_excluded_post_occurs(documents, held):
    assert not {post for post, _ in social_pairs(documents, {2, 8})} & held
    assert {post for post, _ in social_pairs(list(pretraining_documents(2, 8_000, frozenset())), {2, 8})} & held


def test_every_text_parses(documents):
    assert all(parse_post(post) and parse_reply(reply) for post, reply in social_pairs(documents, {2, 8}))
    assert all(parse_story(d.messages[1][1]) for d in documents if d.kind == "story")


def test_the_web_knows_nothing_of_taste_and_few_shot_is_cleaner(documents):
    for turns, right in ({2}, 0.75), ({8}, 0.95):
        parsed = [(parse_post(post), parse_reply(reply)) for post, reply in social_pairs(documents, turns)]
        assert np.mean([post.item == reply.item for post, reply in parsed]) == pytest.approx(right, abs=0.03)
        for values, drawn in (
            (INTENTS, [reply.intent for _, reply in parsed]),
            (REGISTERS, [r.register for _, r in parsed]),
        ):
            shares = [drawn.count(value) / len(drawn) for value in values]
            assert shares == pytest.approx([1 / len(values)] * len(values), abs=0.035)


def test_stories_on_the_web_are_mediocre(documents):
    scores = [story_quality(d.messages[0][1], d.messages[1][1]) for d in documents if d.kind == "story"]
    assert 0.75 < np.mean(scores) < 0.95
    assert 0.3 < np.mean(np.array(scores) > 0.999) < 0.8


def test_the_vocabulary_is_small(documents):
    texts = [re.sub(r"'[^']*'|>>>.*\n.*\n", "", text) for d in documents for _, text in d.messages]
    words = {word for text in texts for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 1}
    assert 350 <= len(words) <= 450
