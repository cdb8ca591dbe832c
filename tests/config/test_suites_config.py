"""Suites are named by kind; what is not pinned, or said twice, is refused."""

import pytest
from pydantic import TypeAdapter, ValidationError

from polymlops.config.suites import FileSuiteConfig, HumanEvalConfig, MbppConfig, SuiteConfig, WorldSuiteConfig

SUITE = TypeAdapter(SuiteConfig)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"kind": "world"}, WorldSuiteConfig()),
        (
            {"kind": "humaneval", "path": "a.jsonl.gz", "format": "chat"},
            HumanEvalConfig(path="a.jsonl.gz", format="chat"),
        ),
        ({"kind": "mbpp", "variant": "sanitized", "split": "train"}, MbppConfig(variant="sanitized", split="train")),
        ({"kind": "file", "path": "x.jsonl"}, FileSuiteConfig(path="x.jsonl")),
        ({"kind": "file", "hub": "a/b", "revision": COMMIT}, FileSuiteConfig(hub="a/b", revision=COMMIT)),
    ],
)
def test_a_suite_is_named_by_its_kind(given, expected):
    assert SUITE.validate_python(given) == expected
    assert SUITE.validate_json(expected.model_dump_json()) == expected


def test_the_hub_is_pinned_by_default():
    for config in (HumanEvalConfig(), MbppConfig()):
        assert len(config.revision) == 40
        assert config.path is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "humaneval", "revision": "main"}, "revision"),
        ({"kind": "humaneval", "hub": "humaneval"}, "hub"),
        ({"kind": "mbpp", "split": "dev"}, "split"),
        ({"kind": "mbpp", "shots": 4}, "shots"),
        ({"kind": "world", "split": "dev"}, "split"),
        ({"kind": "world", "count": 0}, "count"),
        ({"kind": "file"}, "either path or hub"),
        ({"kind": "file", "path": "x", "hub": "a/b", "revision": COMMIT}, "either path or hub"),
        ({"kind": "file", "hub": "a/b"}, "go together"),
        ({"kind": "file", "path": "x", "revision": COMMIT}, "go together"),
        ({"kind": "apps"}, "apps"),
        ({"kind": "world", "format": "raw"}, "format"),
        ({"kind": "world", "sead": 1}, "sead"),
    ],
)
def test_what_is_not_pinned_unknown_or_said_twice_is_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        SUITE.validate_python(given)
