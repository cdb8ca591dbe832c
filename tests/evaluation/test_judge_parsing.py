"""The form and its reading: what fill writes parses back, and nothing but a whole proper object ever has a score."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymlops.config.judge import CREATIVE, SOCIAL, Criterion, RubricConfig
from polymlops.evaluation.judge_parsing import excerpt, pairwise_form, pointwise_form
from polymlops.evaluation.judge_replies import read_reply

FORM = pointwise_form(CREATIVE)
NAMES = [criterion.name for criterion in CREATIVE.criteria]
GOOD = {"reason": "", "coherence": 7, "engagement": 1, "originality": 10, "fit": 5}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-20, 20) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
)


@given(st.lists(st.integers(1, 10), min_size=4, max_size=4), st.text(), st.text(" \t\r\n", max_size=3))
def test_what_is_filled_in_parses_back(scores, reason, blank):
    assert FORM.parse(blank + FORM.fill(scores, reason) + blank).values == dict(zip(NAMES, scores, strict=True))


@pytest.mark.parametrize("choice", ["A", "B", "tie"])
def test_a_choice_parses_back(choice):
    assert pairwise_form().parse(json.dumps({"reason": "x", "winner": choice})).values == {"winner": choice}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not one JSON object"),
        (json.dumps(GOOD) + " Hope that helps!", "not one JSON object"),
        (f"```json\n{json.dumps(GOOD)}\n```", "not one JSON object"),
        (json.dumps(GOOD) * 2, "not one JSON object"),
        (json.dumps([GOOD]), "a JSON list"),
        (json.dumps({**GOOD, "bonus": 1}), "unknown keys bonus"),
        (json.dumps({key: value for key, value in GOOD.items() if key != "fit"}), "lacks fit"),
        (json.dumps({key: value for key, value in GOOD.items() if key != "reason"}), "lacks reason"),
        (json.dumps({**GOOD, "reason": 1}), "reason is not a string"),
        (json.dumps(GOOD)[:-1] + ', "fit": 10}', "a key comes twice"),
        (json.dumps(GOOD).replace("10", "NaN"), "NaN is not a JSON value"),
        (json.dumps(GOOD).replace("10", "7" * 5000), "not one JSON object"),
        ("[" * 100_000, "not one JSON object"),
        *(
            (json.dumps({**GOOD, "fit": bad}), "fit is")
            for bad in (0, 11, -1, 7.0, 7.5, "7", True, None, [7], {"7": 7})
        ),
    ],
)
def test_anything_else_has_no_score(text, fault):
    parsed = FORM.parse(text)
    assert parsed.values is None
    assert fault in parsed.fault
    assert len(parsed.fault) < 600


@given(st.dictionaries(st.sampled_from([*NAMES, "reason", "other"]), VALUES))
def test_only_whole_proper_objects_have_scores(found):
    parsed = FORM.parse(json.dumps(found))
    proper = found.keys() == {"reason", *NAMES} and isinstance(found["reason"], str)
    proper = proper and all(type(found[name]) is int and 1 <= found[name] <= 10 for name in NAMES)
    assert (parsed.values is not None) == proper
    assert (parsed.fault == "") == proper


@given(st.text())
def test_any_text_is_read_without_failing(text):
    for form in (FORM, pairwise_form()):
        parsed = form.parse(text)
        assert parsed.values is None
        assert parsed.fault
    reply = read_reply(text)
    assert reply.text is None
    assert reply.fault


@given(st.recursive(VALUES, lambda inner: st.dictionaries(st.sampled_from(["choices", "message", "usage"]), inner)))
def test_any_json_is_read_as_a_reply_without_failing(value):
    reply = read_reply(json.dumps(value))
    assert reply.text is None
    assert reply.fault


def test_the_schema_says_what_the_parser_takes():
    schema = FORM.schema()
    assert schema["required"] == ["reason", *NAMES]
    assert schema["properties"]["fit"] == {"type": "integer", "enum": list(range(1, 11))}
    assert schema["additionalProperties"] is False
    assert pairwise_form().schema()["properties"]["winner"] == {"type": "string", "enum": ["A", "B", "tie"]}


def test_a_rubric_has_four_criteria_with_names_of_their_own():
    assert len(CREATIVE.criteria) == len(SOCIAL.criteria) == 4
    with pytest.raises(ValueError, match="each needs its own name"):
        RubricConfig(criteria=(Criterion(name="fit", meaning="x"),) * 4)
    with pytest.raises(ValueError, match="at least 4"):
        RubricConfig(criteria=CREATIVE.criteria[:3])


def test_an_excerpt_is_short_and_printable():
    assert excerpt("a\n\n b\x1b[2J\ud800") == "a b?[2J?"
    assert excerpt("") == "(nothing)"
    assert len(excerpt("x" * 10_000)) < 200
