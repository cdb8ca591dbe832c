"""Any text is a tree or has a reason."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.data.suite_syntax import MAX_CHARACTERS, parse_source


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80) | st.text("()[]{}:=\n\t '\"\\#x1", max_size=80))
def test_any_text_is_a_tree_or_has_a_reason(text):
    parsed = parse_source(text)
    assert (parsed.tree is None) == bool(parsed.fault)


def test_absurd_sources_have_a_reason():
    assert "more than" in parse_source("x" * (MAX_CHARACTERS + 1)).fault
    for source in ("-" * 50_000 + "1", "[" * 1_000, "x\x00", "\ud800", "9" * 5_000):
        assert parse_source(source).fault
