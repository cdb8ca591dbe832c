"""What is deployed: configs that the schema takes, flows that there are, job templates that are whole."""

import json
import re
from importlib import resources

import pytest

from flows.automations import SILENCE, wanted_automations
from flows.deployment_files import deployed_config, wanted_deployments, wanted_pools
from flows.environment import HEARTBEAT_S, WORKER
from polymlops.config.hashing import canonical
from polymlops.config.profiles import load_config, validate
from polymlops.errors import ConfigError

MLFLOW = "http://127.0.0.1:5000"
TEMPLATES = sorted(
    path.name
    for path in resources.files("deployments").joinpath("job_templates").iterdir()
    if path.name.endswith("json")
)


def _template(name):
    return json.loads(resources.files("deployments").joinpath("job_templates", name).read_text())


@pytest.fixture(scope="module")
def deployments():
    return {wanted.title: wanted for wanted in wanted_deployments(MLFLOW)}


def test_deployments_are_those_of_the_issue(deployments):
    assert set(deployments) == {
        "roadmap/nightly-smoke",
        "roadmap/roadmap-demo",
        "core-results/core-results",
        "theoretical-depth/theoretical-depth",
        "generalization/generalization",
        "novel-metrics/novel-metrics",
        "evaluate-champion/evaluate-champion",
        "stage/gpu",
        "stage/cpu",
    }
    scheduled = {title for title, wanted in deployments.items() if wanted.schedules}
    assert scheduled == {"roadmap/nightly-smoke", "evaluate-champion/evaluate-champion"}
    assert {title: wanted.pool for title, wanted in deployments.items() if wanted.pool != "cpu"} == {"stage/gpu": "gpu"}


def test_parameters_are_whole_configs_for_the_pools(deployments):
    for wanted in deployments.values():
        assert wanted.enforced
        if "config" in wanted.parameters:
            config = validate(wanted.parameters["config"])
            assert canonical(config) == wanted.parameters["config"]
            assert (config.execution.mode, config.tracking.uri) == ("pools", MLFLOW)
            assert wanted.concurrency == {"limit": 1, "collision_strategy": "ENQUEUE"}


def test_config_is_the_profile_but_for_where_it_runs():
    deployed, profile = deployed_config("demo", tracking_uri=MLFLOW), canonical(load_config("demo"))
    assert {name for name in profile if deployed[name] != profile[name]} == {"execution", "tracking"}


def test_store_that_no_worker_reaches_is_refused():
    with pytest.raises(ConfigError, match=r"tracking.uri: sqlite:///x.db is out of reach"):
        deployed_config("demo", tracking_uri="sqlite:///x.db")


def test_pools_are_of_processes_or_of_containers():
    assert [pool.name for pool in wanted_pools("process")] == ["gpu", "cpu"]
    assert {pool.type for pool in wanted_pools("docker")} == {"docker"}
    assert wanted_pools("kubernetes")[0].base_job_template == _template("gpu-kubernetes.json")


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_uses_the_variables_that_it_declares(name):
    template = _template(name)
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])


def test_gpu_templates_ask_for_a_gpu():
    job = _template("gpu-kubernetes.json")["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    (container,) = job["containers"]
    for kind in ("requests", "limits"):
        assert container["resources"][kind]["nvidia.com/gpu"] == "{{ gpu_count }}"
    docker = _template("gpu-docker.json")["job_configuration"]["container_create_kwargs"]
    assert docker["device_requests"] == [{"driver": "nvidia", "count": "{{ gpu_count }}", "capabilities": [["gpu"]]}]
    for name in ("cpu-docker.json", "cpu-kubernetes.json"):
        assert "gpu_count" not in json.dumps(_template(name))


def test_silence_is_three_heartbeats():
    """With less, a healthy run was marked; with more, a dead one is not found within two minutes."""
    assert 3 * HEARTBEAT_S <= SILENCE.total_seconds() < 120
    assert WORKER["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == str(HEARTBEAT_S)
    silent, _ = wanted_automations("process")
    assert "prefect.flow-run.heartbeat" in silent.trigger.after


def test_a_pod_that_waits_for_its_gpu_is_not_started_twice():
    assert [wanted.name for wanted in wanted_automations("kubernetes")] == ["polymlops-crash-silent-runs"]
