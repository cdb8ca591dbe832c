"""The parent run is found again, says how it ended, and carries what explains it."""

import subprocess
from pathlib import Path

import pytest
import yaml

from polymlops.config.profiles import validate
from polymlops.refs import DatasetRef
from polymlops.tracking.addresses import local_folder
from polymlops.tracking.environment import hardware, package_versions, source_state
from polymlops.tracking.roadmaps import log_results, roadmap_key, roadmap_run
from polymlops.tracking.store import open_store


@pytest.fixture
def config(tmp_path, migrated):
    (tmp_path / "mlflow.db").write_bytes(migrated.read_bytes())
    return validate({"name": "test", "output_dir": str(tmp_path), "tracking": {"price_per_hour": 3600}})


def _run(context):
    return open_store(context.tracking_uri).get_run(context.parent_run_id)


def test_same_roadmap_goes_on_in_the_same_run(config):
    with roadmap_run(config, "source") as first:
        assert _run(first).info.status == "RUNNING"
    with roadmap_run(config, "source") as second:
        assert second == first
        assert _run(second).info.status == "RUNNING"
    run = _run(second)
    assert run.info.status == "FINISHED"
    assert run.data.tags["attempts"] == "2"


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("x"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(1), "KILLED")]
)
def test_status_says_how_it_ended(config, error, status):
    with pytest.raises(type(error)), roadmap_run(config, "source") as context:
        raise error
    assert _run(context).info.status == status


def test_key_is_the_experiment_and_its_source():
    config = validate({"name": "test"})
    key = roadmap_key(config, "source")
    for values in ({"output_dir": "elsewhere"}, {"execution": {"threads": 7}}, {"tracking": {"price_per_hour": 1}}):
        assert roadmap_key(validate({"name": "test", **values}), "source") == key
    for values in ({"seeds": [1]}, {"polychromic": {"lambda": 0.1}}):
        assert roadmap_key(validate({"name": "test", **values}), "source") != key
    assert roadmap_key(config, "other source") != key


def test_carries_config_packages_hardware_and_cost(config, tmp_path):
    with roadmap_run(config, "source") as context:
        pass
    run = _run(context)
    assert run.data.params["polychromic.lambda"] == "0.3"
    assert run.data.params["seeds"] == "[42]"
    assert run.data.tags["hardware.cores"] == hardware()["hardware.cores"]
    assert run.data.metrics["roadmap/wall_seconds"] > 0
    assert run.data.metrics["roadmap/cost_dollars"] == run.data.metrics["roadmap/stage_seconds"]
    folder = local_folder(run.info.artifact_uri)
    assert validate(yaml.safe_load((folder / "config.yaml").read_text())) == config
    packages = (folder / "environment" / "packages.txt").read_text()
    assert f"mlflow=={package_versions()['mlflow']}\n" in packages


def test_param_longer_than_mlflow_takes_is_cut_and_whole_in_the_file(config):
    long = config.model_copy(update={"seeds": tuple(range(3000))})
    with roadmap_run(long, "source") as context:
        pass
    run = _run(context)
    assert run.data.params["seeds"].endswith("config.yaml has it whole)")
    assert len(run.data.params["seeds"]) == 6000
    whole = yaml.safe_load((local_folder(run.info.artifact_uri) / "config.yaml").read_text())
    assert whole["seeds"] == list(range(3000))


def test_results_and_dataset_are_listed(config):
    dataset = DatasetRef(run_id="0" * 32, uri="file:///nowhere", digest="d" * 64)
    with roadmap_run(config, "source") as context:
        log_results(context, "core-results", {"dataset": dataset}, dataset)
    run = _run(context)
    assert [entry.dataset.digest for entry in run.inputs.dataset_inputs] == ["d" * 36]
    listing = yaml.safe_load((local_folder(run.info.artifact_uri) / "stages" / "core-results.json").read_text())
    assert DatasetRef.model_validate(listing["dataset"]) == dataset


@pytest.fixture
def checkout(tmp_path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "__init__.py").write_text("A = 1\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "start"]):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", "-C", str(folder), *identity, *command], check=True)
    return folder


def test_source_state_of_a_checkout(checkout):
    clean = source_state(checkout / "package")
    assert len(clean.commit) == 40
    assert clean.diff is None
    (checkout / "package" / "__init__.py").write_text("A = 2\n")
    dirty = source_state(checkout / "package")
    assert dirty.commit == clean.commit
    assert "+A = 2" in dirty.diff


def test_source_state_of_an_installed_package(checkout):
    (checkout / "installed").mkdir()
    (checkout / "installed" / "__init__.py").write_text("")
    assert source_state(checkout / "installed").commit is None
    assert source_state(checkout / "nowhere").commit is None
