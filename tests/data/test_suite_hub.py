"""Suites through `datasets`: folders, copies of repositories, and a Hub that cannot be reached."""

from __future__ import annotations

import pytest
from suite_rows import FULL, HUMANEVAL, fault, lines

from polymlops.config.suites import FileSuiteConfig, HumanEvalConfig, MbppConfig
from polymlops.data.suites import load_suite
from polymlops.errors import ArtifactError


def test_a_folder_in_the_layout_of_the_hub_is_read_through_datasets(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for subset, split, row in (
        ("full", "test", FULL),
        ("full", "prompt", FULL | {"task_id": 2, "test_setup_code": ""}),
    ):
        (tmp_path / "mbpp" / subset).mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list([row]).to_parquet(tmp_path / "mbpp" / subset / f"{split}-00000-of-00001.parquet")
    (tmp_path / "mine").mkdir()
    lines(tmp_path / "mine" / "test.jsonl", [HUMANEVAL])
    suite = load_suite(MbppConfig(path=tmp_path / "mbpp", split="all", shots=1))
    assert {problem.task_id: problem.split for problem in suite.problems} == {"MBPP/11": "test", "MBPP/2": "prompt"}
    assert suite.examples[0].task_id == "MBPP/2"
    assert load_suite(FileSuiteConfig(path=tmp_path / "mine")).problems[0].task_id == "T/0"
    duplicate = lines(tmp_path / "mine" / "train.jsonl", [HUMANEVAL])
    said = fault(load_suite, FileSuiteConfig(path=duplicate.parent))
    assert "row 1: 'task_id' is 'T/0', as at" in said


def test_a_copy_of_a_repository_is_read_by_its_card(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    names = {"train": 601, "prompt": 3}
    files = "".join(f"  - split: {split}\n    path: full/{split}.parquet\n" for split in names)
    (tmp_path / "copy" / "full").mkdir(parents=True)
    (tmp_path / "copy" / "README.md").write_text(f"---\nconfigs:\n- config_name: full\n  data_files:\n{files}---\n")
    for split, task_id in names.items():
        rows = datasets.Dataset.from_list([FULL | {"task_id": task_id}])
        rows.to_parquet(tmp_path / "copy" / "full" / f"{split}.parquet")
    suite = load_suite(MbppConfig(path=tmp_path / "copy", split="all", shots=0))
    assert {problem.task_id: problem.split for problem in suite.problems} == {"MBPP/601": "train", "MBPP/3": "prompt"}
    said = fault(load_suite, MbppConfig(path=tmp_path / "copy", variant="sanitized"))
    assert "sanitized" in said
    assert "check the id, the subset and the commit" in said


def test_folders_without_data_are_refused(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    assert "no parquet or JSON lines file in it" in fault(load_suite, FileSuiteConfig(path=tmp_path / "empty"))
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "test.jsonl").write_bytes(bytes(range(256)) * 20)
    assert "write jsonl or parquet" in fault(load_suite, FileSuiteConfig(path=tmp_path / "junk"))


def test_a_hub_that_cannot_be_reached_is_worth_another_try(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    with pytest.raises(ArtifactError, match="try again, or give a local file"):
        load_suite(HumanEvalConfig(hub="nobody/has-this-suite"))
