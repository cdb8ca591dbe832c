"""Every way to name a model leads to its folders, whole and verified; what is not there is the caller's fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from registry_parts import make_adapter, make_candidate, stored

from polymlops.errors import ArtifactError, InputError
from polymlops.models.loading import check_base
from polymlops.tracking import ledger
from polymlops.tracking.named_models import ModelStore, find_model, find_reward, whole_model
from polymlops.tracking.registry import register_adapter

NAME = "polymlops-smoke-grpo-baseline"


@pytest.fixture
def store(book, tmp_path):
    return ModelStore(book.context.tracking_uri, tmp_path / "fetched")


@pytest.fixture
def registered(book, small_base, tmp_path):
    return register_adapter(book.context, make_candidate(book, small_base, tmp_path))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def as_stage(book, folder, **tags):
    """A folder as the output of a stage's run, as the ledger keeps it."""
    ref = stored(book, folder)
    ledger.set_tags(book.client, ref.run_id, {ledger.DIGEST: ref.digest, **tags})
    return ref


@pytest.mark.parametrize("name", [f"models:/{NAME}/1", f"models:/{NAME}@candidate"])
def test_a_registered_adapter_brings_its_base(registered, store, small_base, tmp_path, name):
    found = whole_model(name, None, store)
    assert found.name == registered.uri == f"models:/{NAME}/1"
    assert files(found.base) == files(small_base)
    assert files(found.adapter) == files(tmp_path / "adapter")
    assert found.reward is None
    check_base(found.base, found.adapter)
    package = found.adapter
    while not (package / "MLmodel").is_file():
        package = package.parent
    assert find_model(str(package), store).adapter == found.adapter
    with pytest.raises(InputError, match="has an adapter already"):
        whole_model(name, str(tmp_path / "adapter"), store)


@pytest.mark.parametrize(
    "name", ["models:/nobody/1", f"models:/{NAME}/7", f"models:/{NAME}@nobody", f"runs:/{'0' * 32}", "a/b/c", "x:y"]
)
def test_what_is_not_there_is_said(registered, store, name):
    with pytest.raises(InputError, match=r"has none|no name of a model"):
        find_model(name, store)


def test_a_damaged_version_is_no_model(registered, store):
    found = find_model(registered.uri, store)
    (found.adapter / "adapter_model.safetensors").write_bytes(b"other")
    with pytest.raises(ArtifactError, match="register it again"):
        find_model(registered.uri, store)


def test_a_stages_adapter_brings_the_base_that_its_run_was_given(book, store, small_base, tmp_path):
    base = as_stage(book, small_base)
    adapter = make_adapter(small_base, tmp_path / "adapter")
    trained = as_stage(book, adapter, **{"input.base": f"{base.run_id} {base.digest}"})
    for name in (f"runs:/{trained.run_id}", f"runs:/{trained.run_id}/output"):
        found = whole_model(name, None, store)
        assert files(found.adapter) == files(adapter)
        assert files(found.base) == files(small_base)
    alone = as_stage(book, adapter)
    with pytest.raises(InputError, match=f"give --model BASE --adapter runs:/{alone.run_id}"):
        whole_model(f"runs:/{alone.run_id}", None, store)
    together = whole_model(f"runs:/{base.run_id}", f"runs:/{alone.run_id}", store)
    assert files(together.base) == files(small_base)
    assert files(together.adapter) == files(adapter)


def test_any_artifact_of_a_run_may_be_a_model(book, store, small_base):
    run = ledger.begin_run(book.client, book.context.experiment_id, {}, {})
    book.client.log_artifacts(run, str(small_base), "mine/model")
    ledger.end_run(book.client, run, "FINISHED")
    assert files(find_model(f"runs:/{run}/mine/model", store).base) == files(small_base)
    for path in ("mine/nothing", "nothing"):
        with pytest.raises(InputError, match=f"has no {path}"):
            find_model(f"runs:/{run}/{path}", store)
    with pytest.raises(InputError, match="a file, not a folder"):
        find_model(f"runs:/{run}/mine/model/config.json", store)


def test_a_damaged_artifact_is_no_model(book, store, small_base):
    ref = as_stage(book, small_base)
    (book.stored(ref) / "output" / "config.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"config\.json"):
        find_model(f"runs:/{ref.run_id}", store)


def test_a_reward_model_is_one_by_its_file(store, tmp_path, small_base):
    (tmp_path / "reward").mkdir()
    (tmp_path / "reward" / "reward_model.json").write_text("{}")
    assert find_reward(str(tmp_path / "reward"), store) == tmp_path / "reward"
    with pytest.raises(InputError, match="no reward model here"):
        find_reward(str(small_base), store)
    with pytest.raises(InputError, match="a reward model, which writes nothing"):
        whole_model(str(tmp_path / "reward"), None, store)


def test_no_store_is_made_by_looking(tmp_path):
    store = ModelStore(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "fetched")
    with pytest.raises(InputError, match="no tracking store"):
        find_model("models:/x/1", store)
    assert list(tmp_path.iterdir()) == []
