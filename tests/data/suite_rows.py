"""One problem in each of the three schemas, and how a test writes and refuses a file of them."""

from __future__ import annotations

import json

import pytest

from polymlops.errors import InputError

HUMANEVAL = {
    "task_id": "T/0",
    "prompt": 'import math\n\n\ndef area(r):\n    """Area of a circle."""\n',
    "entry_point": "area",
    "canonical_solution": "    return math.pi * r**2\n",
    "test": "def check(candidate):\n    assert candidate(0) == 0\n",
}
FULL = {
    "task_id": 11,
    "text": "Write a function to count nodes.",
    "code": "class Node:\r\n\tdef __init__(self):\r\n\t\tself.n = 1\r\ndef count(node):\r\n\treturn node.n",
    "test_setup_code": "root = Node()",
    "test_list": ["assert (count(root)) == 1", "assert count(root) > 0"],
    "challenge_test_list": [],
}
SANITIZED = {
    "source_file": "x",
    "task_id": 2,
    "prompt": "Write a function to halve.",
    "code": "def half(x):\n  return x / 2",
    "test_imports": ["import math"],
    "test_list": ["assert math.isclose(half(3), 1.5)"],
}


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def fault(load, *arguments):
    with pytest.raises(InputError) as caught:
        load(*arguments)
    return str(caught.value)
