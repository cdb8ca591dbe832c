"""Whatever a run is called, a page that renders Markdown shows it as text."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from polymlops.report.markdown import LONGEST, markdown_table, plain

RENDERER = MarkdownIt("commonmark").enable("table")
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](http://127.0.0.1/x.png)",
    "`code` **bold** _it_ ~~no~~",
    "two\nlines\r\n# heading",
    "a | b | c",
    '</td></table>" \' onclick="x',
    "&lt;b&gt; &amp; \\*",
    "<http://127.0.0.1>",
]


def shown(markdown):
    """What a reader sees, once the paragraph's own tags are gone; other tags stay."""
    return html.unescape(re.sub(r"</?p>|\n$", "", RENDERER.render(markdown)))


@pytest.mark.parametrize("text", HOSTILE)
def test_text_shows_as_itself(text):
    assert shown(f"x {plain(text)}").strip() == f"x {' '.join(text.split())}"


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=80))
def test_any_text_shows_as_itself(text):
    assert shown(f"x {plain(text)}").split() == ["x", *text.split()]


def test_the_end_of_a_long_text_is_left_out():
    assert plain("x" * 10_000) == "x" * LONGEST + "..."


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_is_one_cell_of_text(text):
    page = RENDERER.render(markdown_table(["metric", text], [["pass_at_1", "0.5"], [text, text]]))
    assert page.count("<tr>") == 3
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", page)
    line = " ".join(text.split())
    assert [html.unescape(cell) for cell in cells] == ["metric", line, "pass_at_1", "0.5", line, line]
    assert not re.search(r"<(?!/?(table|thead|tbody|tr|th|td)\b)", page)
