"""Registration: one version for one candidate, whole or not at all, and nothing for bad input."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from registry_parts import aliases, make_adapter, make_candidate, stored, versions

from polymlops.errors import ArtifactError, InputError
from polymlops.models.loading import load_base
from polymlops.refs import RewardRef
from polymlops.tracking.addresses import local_folder
from polymlops.tracking.registry import register_adapter, registered_name

NAME = "polymlops-smoke-grpo-baseline"


@pytest.fixture
def candidate(book, small_base, tmp_path):
    return make_candidate(book, small_base, tmp_path)


def model_folder(book, version: int, name: str = NAME) -> Path:
    return local_folder(book.client.get_model_version(name, str(version)).source)


def test_a_registered_adapter_is_the_candidate(book, candidate):
    found = register_adapter(book.context, candidate)
    assert (found.name, found.version, found.uri) == (NAME, 1, f"models:/{NAME}/1")
    assert found.aliases == ("candidate",)
    assert found.run_id == candidate.adapter.run_id
    tags = versions(book.client, NAME)[1]
    assert tags["adapter_digest"] == candidate.adapter.digest
    assert tags["base_digest"] == candidate.base.digest
    assert tags["complete"] == "true"


def test_repeated_registration_makes_no_second_version(book, candidate):
    first = register_adapter(book.context, candidate)
    before = model_folder(book, 1).stat().st_mtime_ns
    assert register_adapter(book.context, candidate) == first
    assert versions(book.client, NAME).keys() == {1}
    assert model_folder(book, 1).stat().st_mtime_ns == before


def test_other_adapter_or_settings_are_other_versions(book, candidate, small_base, tmp_path):
    register_adapter(book.context, candidate)
    other = stored(book, make_adapter(small_base, tmp_path / "other", seed=1))
    assert register_adapter(book.context, replace(candidate, adapter=other)).version == 2
    assert aliases(book.client, NAME) == {"candidate": 2}
    hotter = candidate.sampling.model_copy(update={"temperature": 1.5})
    assert register_adapter(book.context, replace(candidate, sampling=hotter)).version == 3
    fewer = candidate.sampling.model_copy(update={"prompts": 7})  # says nothing about a prediction
    assert register_adapter(book.context, replace(candidate, sampling=fewer)).version == 1
    assert aliases(book.client, NAME) == {"candidate": 1}


def test_starts_are_models_of_their_own(book, candidate):
    register_adapter(book.context, candidate)
    second = register_adapter(book.context, replace(candidate, start="polychromic"))
    assert (second.name, second.version) == ("polymlops-smoke-grpo-polychromic", 1)


def test_the_model_names_no_folder_of_this_machine_and_pins_what_it_needs(book, candidate, tmp_path):
    register_adapter(book.context, candidate)
    folder = model_folder(book, 1)
    texts = {path: path.read_text() for path in folder.iterdir() if path.is_file()}
    requirements = texts[folder / "requirements.txt"].splitlines()
    assert all(re.fullmatch(r"[a-z-]+==\d[\d.]*", line) for line in requirements)
    assert {"polymlops", "mlflow", "torch"} <= {line.split("==")[0] for line in requirements}
    flavor = yaml.safe_load(texts[folder / "MLmodel"])["flavors"]["python_function"]
    assert flavor["model_code_path"] == "ranked_replies_code.py"
    assert flavor["artifacts"]["adapter"]["uri"] == candidate.adapter.uri
    rest = {path: text for path, text in texts.items() if path.name not in {"MLmodel", "manifest.json"}}
    assert not [path for path, text in rest.items() if str(tmp_path) in text or str(Path.cwd()) in text]


def test_signature_and_example(book, candidate):
    register_adapter(book.context, candidate)
    described = yaml.safe_load((model_folder(book, 1) / "MLmodel").read_text())
    signature = {part: json.loads(text) for part, text in described["signature"].items()}
    assert [column["type"] for column in signature["inputs"]] == ["string"]
    assert [column["name"] for column in signature["outputs"]] == ["post", "rank", "reply", "score"]
    assert {param["name"]: param["default"] for param in signature["params"]} == {
        "k": 3,
        "temperature": 0.7,
        "seed": 1234,
    }
    assert described["saved_input_example_info"]["artifact_path"] == "input_example.json"


def test_nothing_is_left_in_the_work_folder_or_beside_it(book, candidate, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    register_adapter(book.context, candidate)
    assert list((tmp_path / "work").iterdir()) == []
    assert list((tmp_path / "elsewhere").iterdir()) == []  # MLflow's default store would be made here


def nothing_registered(book) -> bool:
    models = book.client.search_logged_models([book.context.experiment_id])
    return not models and not book.client.search_registered_models()


def test_adapter_of_another_base_is_refused(book, candidate, small_base, tmp_path):
    other = load_base(small_base)
    with torch.no_grad():
        other.model.norm.weight.mul_(1.01)
    shutil.copytree(small_base, tmp_path / "other")
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match="another base"):
        register_adapter(book.context, replace(candidate, base=stored(book, tmp_path / "other")))
    assert nothing_registered(book)


def test_damaged_adapter_is_refused(book, candidate):
    weights = book.stored(candidate.adapter) / "output" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ArtifactError, match=r"adapter_model\.safetensors"):
        register_adapter(book.context, candidate)
    assert nothing_registered(book)


def test_adapter_that_cannot_answer_is_refused(book, candidate, small_base, tmp_path):
    folder = make_adapter(small_base, tmp_path / "other", seed=1)
    (folder / "adapter_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="cannot answer"):
        register_adapter(book.context, replace(candidate, adapter=stored(book, folder)))
    assert nothing_registered(book)


def test_folders_that_are_something_else_are_refused(book, candidate):
    with pytest.raises(InputError, match="no adapter here"):
        register_adapter(book.context, replace(candidate, adapter=candidate.base))
    with pytest.raises(ArtifactError, match="no reward model here"):
        register_adapter(
            book.context, replace(candidate, reward=RewardRef(**candidate.base.model_dump(exclude={"kind"})))
        )
    missing = candidate.adapter.model_copy(update={"digest": "0" * 64})
    with pytest.raises(ArtifactError, match="expected 000000000000"):
        register_adapter(book.context, replace(candidate, adapter=missing))
    assert nothing_registered(book)


def test_a_point_in_a_profile_is_none_in_the_name():
    assert registered_name("qwen3-0.6b", "baseline") == "polymlops-qwen3-0_6b-grpo-baseline"


@pytest.mark.parametrize("profile", ["a/b", "a:b", "", " ", "Ä", "a@b", "x" * 200, "a\nb", "x\n"])
def test_illegal_names_are_refused(book, candidate, profile):
    with pytest.raises(InputError, match="cannot name a registered model"):
        register_adapter(book.context, replace(candidate, profile=profile))
    with pytest.raises(InputError, match="cannot name a registered model"):
        register_adapter(book.context, replace(candidate, start=profile))
    assert nothing_registered(book)


def test_a_version_whose_files_are_damaged_is_made_again(book, candidate, caplog):
    register_adapter(book.context, candidate)
    (model_folder(book, 1) / "input_example.json").unlink()
    found = register_adapter(book.context, candidate)
    assert "input_example.json is missing" in caplog.text
    assert versions(book.client, NAME).keys() == {found.version}
    assert (model_folder(book, found.version) / "input_example.json").is_file()


def test_a_version_whose_model_was_deleted_is_made_again(book, candidate):
    register_adapter(book.context, candidate)
    book.client.delete_logged_model(versions(book.client, NAME)[1]["logged_model_id"])
    found = register_adapter(book.context, candidate)
    assert aliases(book.client, NAME) == {"candidate": found.version}
    assert len(book.client.search_logged_models([book.context.experiment_id])) == 1


def test_a_duplicate_by_another_machine_is_removed(book, candidate):
    register_adapter(book.context, candidate)
    first = book.client.get_model_version(NAME, "1")
    tags = {name: value for name, value in first.tags.items() if name != "complete"}
    book.client.create_model_version(NAME, first.source, run_id=first.run_id, tags=tags)
    assert register_adapter(book.context, candidate).version == 1
    assert versions(book.client, NAME).keys() == {1}
