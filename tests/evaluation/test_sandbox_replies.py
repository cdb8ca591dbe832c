"""Exceptions and arguments as they come back from a program's process."""

import pytest

from polymlops.evaluation.sandbox_replies import CandidateError, CandidateExitError, exception_of, update


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("KeyError", "LookupError", "Exception", "BaseException"), KeyError),
        (("Own", "ZeroDivisionError", "ArithmeticError", "Exception", "BaseException"), ZeroDivisionError),
        (("Own", "Exception", "BaseException"), CandidateError),
        (("StopIteration", "Exception", "BaseException"), CandidateError),
        (("Own", "StopAsyncIteration", "Exception", "BaseException"), CandidateError),
        (("SystemExit", "BaseException"), CandidateExitError),
        (("KeyboardInterrupt", "BaseException"), CandidateExitError),
        (("UnicodeDecodeError", "UnicodeError", "ValueError"), CandidateError),
        (("print", "open", "int"), CandidateError),
        ((), CandidateError),
        ((7, None), CandidateError),
    ],
)
def test_exceptions_are_of_a_known_class_and_steer_nothing(names, kind):
    error = exception_of(names, "text")
    assert type(error) is kind
    assert "text" in str(error)
    assert error.__notes__ == [str(names[0]) if names else "exception"]


def test_arguments_get_their_new_content_in_place():
    inner, seen = [1], {1}
    table = {"a": inner, "b": 2}
    args, options = [[inner, 5], table, 3], {"seen": seen}
    update(args, options, (([[1, 2], 6, 7], {"a": [1, 2], "c": 3}, 4), {"seen": {9}}))
    assert args[0] == [[1, 2], 6, 7]
    assert args[0][0] is inner is table["a"]
    assert inner == [1, 2]
    assert table == {"a": [1, 2], "c": 3}
    assert (seen, args[2]) == ({9}, 3)


@pytest.mark.parametrize("after", [None, 3, ((), {}), (([],), [])])
def test_arguments_stay_where_the_reply_makes_no_sense(after):
    args = [[1]]
    update(args, {}, after)
    assert args == [[1]]
