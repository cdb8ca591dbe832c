"""Suites: what is read from each source, how a model is asked, and every way in which a file can be wrong."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from suite_rows import FULL, HUMANEVAL, SANITIZED, fault, lines

from polymlops.config.suites import FileSuiteConfig, HumanEvalConfig, MbppConfig, WorldSuiteConfig
from polymlops.data.suite_mbpp import mbpp_split
from polymlops.data.suite_prompts import BODY_STOPS, suite_prompts
from polymlops.data.suite_syntax import defined_names, parse_source
from polymlops.data.suite_world import world_parameters
from polymlops.data.suites import check_suite, load_suite, require_sound, world_problems
from polymlops.data.world_program_families import FAMILIES
from polymlops.data.world_programs import program_documents
from polymlops.errors import DataQualityError


def test_plain_gzip_and_array_read_the_same(tmp_path):
    rows = [HUMANEVAL, HUMANEVAL | {"task_id": "T/1"}]
    plain = lines(tmp_path / "a.jsonl", rows)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=2))
    (tmp_path / "marked.jsonl").write_bytes(b"\xef\xbb\xbf" + plain.read_bytes().replace(b"\n", b"\r\n\r\n"))
    names = ("a.jsonl", "a.jsonl.gz", "a.json", "marked.jsonl")
    found = [load_suite(HumanEvalConfig(path=tmp_path / name)).problems for name in names]
    assert found[0] == found[1] == found[2] == found[3]
    problem = found[0][0]
    assert (problem.prefix, problem.entry_point, problem.setup) == (HUMANEVAL["prompt"], "area", "")
    assert problem.canonical_program == HUMANEVAL["prompt"] + HUMANEVAL["canonical_solution"]


def test_any_file_in_the_schema_is_a_suite_named_after_itself(tmp_path):
    suite = load_suite(FileSuiteConfig(path=lines(tmp_path / "mine.v2.jsonl", [HUMANEVAL | {"extra": 1}])))
    assert (suite.name, len(suite.problems)) == ("mine", 1)
    assert suite.by_task()["T/0"].family == "T/0"


def test_setup_code_of_mbpp_is_kept_apart_so_that_it_can_follow_the_program(tmp_path):
    path = lines(tmp_path / "mbpp.jsonl", [FULL])
    problem = load_suite(MbppConfig(path=path, shots=0)).problems[0]
    assert (problem.task_id, problem.entry_point, problem.split) == ("MBPP/11", "count", "test")
    names: dict[str, object] = {}
    exec("\n".join([problem.canonical_program, problem.setup, problem.tests]), names)
    assert problem.setup == "root = Node()"


def test_the_sanitized_file_has_other_keys(tmp_path):
    path = tmp_path / "sanitized.json"
    path.write_text(json.dumps([SANITIZED, SANITIZED | {"task_id": 20}]))
    suite = load_suite(MbppConfig(path=path, variant="sanitized", split="all", shots=1))
    assert suite.name == "mbpp_sanitized"
    assert [problem.setup for problem in suite.problems] == ["import math"] * 2
    # The test calls math.isclose first; the entry point is what the solution defines.
    assert suite.problems[0].entry_point == "half"
    assert [example.task_id for example in suite.examples] == ["MBPP/2"]


@pytest.mark.parametrize(
    ("task_id", "split"),
    [
        *((1, "prompt"), (10, "prompt"), (11, "test"), (510, "test")),
        *((511, "validation"), (600, "validation"), (601, "train"), (974, "train")),
    ],
)
def test_splits_of_mbpp_are_the_official_ones(task_id, split):
    assert mbpp_split(task_id) == split


def test_splits_of_the_world_share_no_parameter_whatever_the_seed():
    for family in FAMILIES:
        parts = [world_parameters(family, split) for split in ("train", "validation", "test")]
        assert [len(part) for part in parts] == [5, 2, 3]
        assert sorted(k for part in parts for k in part) == sorted(family.parameters)
    names = {
        split: {problem.task_id for seed in range(4) for problem in world_problems(seed, None, split)}
        for split in ("train", "validation", "test")
    }
    assert {split: len(found) for split, found in names.items()} == {"train": 90, "validation": 36, "test": 54}
    assert len(set.union(*names.values())) == 180


def test_problems_of_the_world_come_by_seed_and_their_solutions_pass():
    suite = load_suite(WorldSuiteConfig(seed=3, split="validation", count=20))
    assert suite.problems == world_problems(3, 36, "validation")[:20] != world_problems(4, 20, "validation")
    assert {problem.split for problem in suite.problems} == {"validation"}
    for problem in suite.problems:
        names: dict[str, object] = {}
        exec(f"{problem.canonical_program}\n{problem.tests}", names)
        names["check"](names[problem.entry_point])
        assert problem.task_id == f"World/{problem.family}/{problem.task_id.rpartition('/')[2]}"
    assert "lower count" in fault(world_problems, 0, 55, "test")


def test_no_test_problem_of_the_world_is_in_its_web():
    import numpy as np

    prompts = {problem.prompt.split(">>>")[0] for problem in world_problems(0, None, "test")}
    stream = program_documents(np.random.default_rng(0))
    assert not prompts & {next(stream)[0].split(">>>")[0] for _ in range(1_000)}


def test_a_base_model_continues_code_and_a_chat_model_is_asked_for_a_fence(tmp_path):
    suite = load_suite(HumanEvalConfig(path=lines(tmp_path / "a.jsonl", [HUMANEVAL])))
    base, chat, turn = (suite_prompts(suite, format)[0] for format in ("base", "chat", "turn"))
    assert base.text == turn.text == HUMANEVAL["prompt"]
    assert base.stop == BODY_STOPS
    assert f"```python\n{HUMANEVAL['prompt'].rstrip()}\n```" in chat.text
    assert not any(stop in "\n" + HUMANEVAL["canonical_solution"] for stop in BODY_STOPS)


def test_a_sentence_is_asked_with_its_tests_and_solved_examples(tmp_path):
    rows = [FULL, *(FULL | {"task_id": number, "test_setup_code": ""} for number in (2, 3, 4))]
    path = lines(tmp_path / "mbpp.jsonl", rows)
    suite = load_suite(MbppConfig(path=path, shots=2))
    base, chat = (suite_prompts(suite, format)[0] for format in ("base", "chat"))
    assert base.text.count("[BEGIN]") == 3
    assert base.text.count("[DONE]") == 2
    assert base.text.endswith("assert count(root) > 0\n[BEGIN]\n")
    assert base.stop == ("[DONE]",)
    assert "\r" not in base.text
    assert "`count`" in chat.text
    assert "assert count(root) > 0" in chat.text
    assert FULL["code"].split("\r\n")[0] not in chat.text


def test_own_solutions_that_fail_are_reported(tmp_path):
    rows = [HUMANEVAL | {"task_id": f"T/{number}"} for number in range(14)]
    suite = load_suite(FileSuiteConfig(path=lines(tmp_path / "a.jsonl", rows)))
    faults = check_suite(suite, lambda problems: ["passed", "failed", *["passed"] * 12])
    assert [(found.task_id, found.reason) for found in faults] == [("T/1", "failed")]
    with pytest.raises(DataQualityError, match="1 of 14 problems fails its tests"):
        require_sound(suite, faults)
    with pytest.raises(DataQualityError, match="T/9: timed out; and 4 more"):
        require_sound(suite, check_suite(suite, lambda problems: ["timed out"] * 14))
    require_sound(suite, check_suite(suite, lambda problems: ["passed"] * 14))
    assert "3 outcomes for 14" in fault(check_suite, suite, lambda problems: ["passed"] * 3)


REAL = os.environ.get("POLYMLOPS_DATA")
with_data = pytest.mark.skipif(REAL is None, reason="POLYMLOPS_DATA does not name the folder of the real suites")


@with_data
def test_humaneval_is_complete():
    suite = load_suite(HumanEvalConfig(path=Path(REAL) / "HumanEval.jsonl.gz"))
    assert len(suite.problems) == 164
    for problem in suite.problems:
        assert parse_source(problem.canonical_program).tree is not None
        assert problem.prefix.endswith("\n")


@with_data
@pytest.mark.parametrize(
    ("variant", "name", "sizes"),
    [("full", "mbpp.jsonl", (974, 10, 500, 90, 374)), ("sanitized", "sanitized-mbpp.json", (427, 7, 257, 43, 120))],
)
def test_mbpp_is_complete_and_its_splits_have_their_sizes(variant, name, sizes):
    configs = [
        MbppConfig(path=Path(REAL) / name, variant=variant, split=split)
        for split in ("all", "prompt", "test", "validation", "train")
    ]
    suites = [load_suite(config) for config in configs]
    assert tuple(len(suite.problems) for suite in suites) == sizes
    for problem in suites[0].problems:
        tree = parse_source(problem.canonical_program).tree  # some have invalid escapes, which warn
        assert tree is not None
        assert problem.entry_point in defined_names(tree)
