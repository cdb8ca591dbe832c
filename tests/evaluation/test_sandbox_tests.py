"""What tests need from outside, read from their source."""

import pytest

from polymlops.evaluation.sandbox_tests import BrokenTestsError, compiled


def test_names_from_outside_are_those_that_nothing_binds():
    source = """
import os.path as paths
from collections import Counter
def check(candidate, *rest, key=None):
    for x in [1]:
        with open(x) as file:
            y = [z for z in file]
    assert candidate(x) == twice(y) and math.isclose(1, Counter(y)[len(rest)]) and paths and key
"""
    tests = compiled(source)
    assert (tests.foreign, tests.modules, tests.has_check) == (("twice",), ("math",), True)
    assert compiled("assert check(1) == f(2)").foreign == ("check", "f")
    assert not compiled("assert check(1)").has_check


@pytest.mark.parametrize("source", ["def check(:", "a\0b", "(" * 1000])
def test_tests_that_are_not_python_are_an_error_of_their_own(source):
    with pytest.raises(BrokenTestsError, match="not Python"):
        compiled(source)
