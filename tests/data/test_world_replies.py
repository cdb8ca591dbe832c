"""The reply grammar: everything it writes it reads back, and it reads nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymlops.data.world_language import INTENTS, ITEMS, REGISTERS, TASTES, TOPIC_OF, pick
from polymlops.data.world_posts import draw_post
from polymlops.data.world_replies import BODIES, ParsedReply, is_well_formed, parse_reply, render_reply, true_intent

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def replies(draw: st.DrawFn) -> tuple[ParsedReply, str]:
    item = draw(st.sampled_from(ITEMS))
    register = draw(st.sampled_from(sorted(REGISTERS)))
    reply = ParsedReply(draw(st.sampled_from(INTENTS)), TOPIC_OF[item], item, register)
    return reply, render_reply(reply, np.random.default_rng(draw(SEEDS)))


@given(replies())
def test_every_reply_reads_back(written):
    reply, text = written
    assert parse_reply(text) == reply
    assert parse_reply(f"  {text}\n") == reply
    assert true_intent(text) == reply.intent
    assert 8 <= len(text.split()) <= 16


@given(replies(), st.data())
def test_a_damaged_reply_does_not_parse(written, data):
    _, text = written
    words = text.split()
    at = data.draw(st.integers(0, len(words) - 1))
    damaged = {
        "word dropped": words[:at] + words[at + 1 :],
        "word doubled": words[: at + 1] + words[at:],
        "word added": [*words[:at], "the", *words[at:]],
        "words reversed": words[::-1],
    }
    for kind, wreck in damaged.items():
        assert not is_well_formed(" ".join(wreck)), f"{kind} at {at} of {text!r}"


@given(replies(), st.data())
def test_a_truncated_reply_does_not_parse(written, data):
    _, text = written
    cut = data.draw(st.integers(0, len(text) - 1))
    assert not is_well_formed(text[:cut])


@given(replies(), replies(), st.sampled_from([" ", "\n", "", " and "]))
def test_glued_replies_do_not_parse(first, second, glue):
    assert not is_well_formed(first[1] + glue + second[1])


@given(replies(), st.sampled_from([" ok", " the", ".", "!", " user", "\n\nlol", " ha,", " big hug.", "  x"]))
def test_a_tail_of_garbage_does_not_parse(written, tail):
    assert not is_well_formed(written[1] + tail)


@given(SEEDS)
def test_an_echo_of_the_post_does_not_parse(seed):
    _, post = draw_post(np.random.default_rng(seed), "makers")
    assert not is_well_formed(post)


@pytest.mark.parametrize(
    "text", ["", " ", "ha,", "ha, ", " big hug.", "HA, TRY", "🙂", "{item}", "ha, use a {adj} cloth"]
)
def test_junk_does_not_parse(text):
    assert parse_reply(text) is None


def test_a_topic_that_the_item_does_not_belong_to_is_not_well_formed():
    assert true_intent("well, always check the oven twice before cooking on friday.") == "tip"
    assert true_intent("well, always check the oven twice before coffee on friday.") is None


def test_each_intent_has_its_own_wordings():
    firsts = {intent: {body.split("{")[0] for body in bodies} for intent, bodies in BODIES.items()}
    assert set(BODIES) == set(INTENTS)
    for intent, bodies in BODIES.items():
        assert len(set(bodies)) >= 4, intent
        assert all("{item}" in body and body.count("{") >= 2 for body in bodies)
        others = set().union(*(firsts[other] for other in INTENTS if other != intent))
        assert not firsts[intent] & others


def test_wording_varies_within_an_intent():
    rng = np.random.default_rng(0)
    reply = ParsedReply("joke", "coffee", "mug", "dry")
    assert len({render_reply(reply, rng) for _ in range(300)}) > 100


def test_every_taste_and_register_can_be_drawn():
    rng = np.random.default_rng(0)
    assert {pick(rng, tuple(TASTES)) for _ in range(200)} == set(TASTES)
