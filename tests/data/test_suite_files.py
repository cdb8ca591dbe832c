"""Every way in which a suite's file can be wrong, with file, line, key and remedy."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from suite_rows import FULL, HUMANEVAL, fault, lines

from polymlops.config.suites import FileSuiteConfig, HumanEvalConfig, MbppConfig
from polymlops.data.suite_files import read_suite_rows
from polymlops.data.suites import load_suite

WRONG = [
    ({"prompt": None}, "a.jsonl:2: no 'prompt': every problem needs one"),
    ({"task_id": 7}, "a.jsonl:2: 'task_id' is 7: write a string"),
    ({"entry_point": ""}, "a.jsonl:2: 'entry_point' is empty: write its text"),
    ({"entry_point": "a b"}, "a.jsonl:2: 'entry_point' is 'a b': write the function's name"),
    ({"entry_point": "volume"}, "a.jsonl:2: the prompt defines no 'entry_point' 'volume': name its function"),
    ({"test": "assert True"}, "a.jsonl:2: 'test' defines no function check(candidate): write one"),
    ({"test": "def check("}, "a.jsonl:2: 'test' is not Python (SyntaxError: '(' was never closed): correct it"),
    ({"canonical_solution": "   return"}, "a.jsonl:2: prompt and 'canonical_solution' are not Python"),
    ({"canonical_solution": ["x"]}, "a.jsonl:2: 'canonical_solution' is ['x']: write a string"),
    ({"prompt": "\ud800"}, "a.jsonl:2: 'prompt' has half a character (a lone surrogate) at 0: replace it"),
    ({"task_id": "T/0"}, "a.jsonl:2: 'task_id' is 'T/0', as at"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_problems_are_named_with_line_key_and_remedy(tmp_path, change, message):
    path = lines(tmp_path / "a.jsonl", [HUMANEVAL, HUMANEVAL | {"task_id": "T/1"} | change])
    assert message in fault(load_suite, HumanEvalConfig(path=path))


WRONG_MBPP = [
    ({"task_id": "11"}, "'task_id' is '11': write a whole number"),
    ({"task_id": True}, "'task_id' is True: write a whole number"),
    ({"task_id": 975}, "task_id 975 is none of MBPP's, which are 1 to 974: use kind 'file'"),
    ({"test_list": []}, "'test_list' is empty: write at least one"),
    ({"test_list": "assert"}, "'test_list' is 'assert': write a list of strings"),
    ({"test_list": ["assert other(1)"]}, "'test_list' calls nothing that 'code' defines"),
    ({"test_list": ["assert ("]}, "'test_list' is not Python"),
    ({"code": "def f("}, "'code' is not Python"),
    ({"text": None}, "no 'text': every problem needs one"),
]


@pytest.mark.parametrize(("change", "message"), WRONG_MBPP)
def test_wrong_tasks_of_mbpp_are_named(tmp_path, change, message):
    path = lines(tmp_path / "mbpp.jsonl", [FULL | change])
    assert f"mbpp.jsonl:1: {message}" in fault(load_suite, MbppConfig(path=path, shots=0))


def test_examples_and_splits_that_a_file_lacks_are_refused(tmp_path):
    path = lines(tmp_path / "mbpp.jsonl", [FULL])
    assert "no task 2, 3, 4 for the few-shot prompt: set shots to 0" in fault(load_suite, MbppConfig(path=path))
    assert "no problem of split 'train'" in fault(load_suite, MbppConfig(path=path, split="train", shots=0))
    assert load_suite(MbppConfig(path=path, format="chat")).examples == ()


WRONG_FILES = [
    (b"", "empty: write one problem a line"),
    (b" \n\n", "empty"),
    (b"[]", "no problem in it"),
    (b"{}\n[1]\n", ":2: a JSON list: write one object a problem"),
    (b'{"a": 1}\n{"a": }\n', ":2: not JSON (Expecting value at column 7): write one object a line"),
    (b'[{"a": 1},\n {"a": }]', ":2: not JSON (Expecting value at column 8): write an array of objects"),
    (b"[1]", "item 1: a JSON int"),
    (b'{"a": 1}\n{"a": "\xff"}\n', ":2: not UTF-8 (byte 0xff): save the file as UTF-8 text"),
    (bytes(range(256)), "not UTF-8"),
    (b"\x1f\x8b" + b"junk" * 9, "the gzip stream is damaged"),
    (gzip.compress(b'{"a": 1}', mtime=0)[:-6], "the gzip stream is damaged"),
    (b"[" * 100_000, "not JSON"),
]


@pytest.mark.parametrize(("content", "message"), WRONG_FILES)
def test_files_that_are_no_suite_are_named(tmp_path, content, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    said = fault(read_suite_rows, path)
    assert said.startswith(str(path))
    assert message in said


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "no such file" in fault(load_suite, FileSuiteConfig(path=tmp_path / "none.jsonl"))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda junk: b'{"task_id": "' + junk + b'"}'))
def test_junk_is_an_input_error_and_nothing_else(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("junk") / "a.jsonl"
    path.write_bytes(content)
    assert str(path) in fault(load_suite, FileSuiteConfig(path=path))
