"""A config's files count by what they hold: edited they are another input, moved the same."""

import pytest

from polymlops.config.code_slices import CodeScoreSpec
from polymlops.config.coding import CodeScoring
from polymlops.config.hashing import canonical, content_hash
from polymlops.config.input_files import path_digest
from polymlops.config.suites import FileSuiteConfig, HumanEvalConfig, MbppConfig, SuiteSection
from polymlops.refs import ScoresRef
from polymlops.tracking.stage import Stage


def spec(suite: SuiteSection) -> CodeScoreSpec:
    return CodeScoreSpec(arm="a", seed=0, domain="code_mine", suite=suite, scoring=CodeScoring())


def key(suite: SuiteSection) -> str:
    return Stage("score_programs", spec(suite), ScoresRef, lambda inputs, job: {}).key()


@pytest.mark.parametrize("kind", [FileSuiteConfig, HumanEvalConfig, MbppConfig])
def test_an_edited_suite_is_another_stage_and_a_moved_one_the_same(kind, tmp_path):
    first, moved = tmp_path / "suite.jsonl", tmp_path / "elsewhere" / "renamed.jsonl"
    moved.parent.mkdir()
    for path in (first, moved):
        path.write_text("{}\n")
    before = key(kind(path=first))
    assert key(kind(path=moved)) == before
    first.write_text("{ }\n")
    assert key(kind(path=first)) != before
    assert key(kind(path=moved)) == before


def test_a_folder_counts_by_names_and_contents_of_its_files(tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for folder, name in zip(folders, ("x", "x", "y"), strict=True):
        (folder / "data").mkdir(parents=True)
        (folder / "data" / name).write_text("1")
    same, other = path_digest(folders[1]), path_digest(folders[2])
    assert path_digest(folders[0]) == same != other
    (folders[0] / "data" / "x").write_text("2")
    assert path_digest(folders[0]) != same


def test_everywhere_else_the_path_is_told_and_without_one_nothing_is(tmp_path):
    path = tmp_path / "suite.jsonl"  # which need not be there to be told
    told = canonical(spec(FileSuiteConfig(path=path)))
    assert told["suite"]["path"] == str(path)
    assert CodeScoreSpec.model_validate(told) == spec(FileSuiteConfig(path=path))
    assert content_hash(HumanEvalConfig()) == content_hash(canonical(HumanEvalConfig()))


def test_a_file_that_appears_is_another_stage(tmp_path):
    path = tmp_path / "suite.jsonl"
    before = key(FileSuiteConfig(path=path))
    path.write_text("{}\n")
    assert key(FileSuiteConfig(path=path)) != before
