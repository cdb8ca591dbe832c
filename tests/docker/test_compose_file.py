"""What docker/ promises, read from its files: no default secret, loopback, pins, limits, few rights."""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml
from compose_file import DOCKER, SECRETS, VARIABLE, interpolated, read_services

COMPOSE = DOCKER / "compose.yaml"
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]
ONCE = {"prefect-migrate", "mlflow-migrate", "mlflow-account"}
QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
DOCKERFILES = sorted(DOCKER.glob("Dockerfile.*"))


def _required() -> set[str]:
    return {found["name"] for found in VARIABLE.finditer(COMPOSE.read_text()) if found["kind"] == "?"}


def test_every_secret_is_required_and_has_no_default():
    assert _required() == set(SECRETS)
    example = (DOCKER / ".env.example").read_text()
    assert dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE)) == dict.fromkeys(SECRETS, "")


@pytest.mark.parametrize("secret", sorted(SECRETS))
@pytest.mark.parametrize("given", [None, ""])
def test_nothing_starts_without_a_secret(tmp_path, secret, given):
    kept = {name: value for name, value in SECRETS.items() if name != secret}
    with pytest.raises(AssertionError, match=f"{secret}: a secret"):
        read_services("127.0.0.1", tmp_path, kept if given is None else kept | {secret: given})


def test_settings_of_the_example_have_the_defaults_of_the_file():
    example = dict(re.findall(r"^# (\w+)=(.*)$", (DOCKER / ".env.example").read_text(), re.MULTILINE))
    used = {(found["name"], found["rest"]) for found in VARIABLE.finditer(COMPOSE.read_text()) if found["kind"] == "-"}
    assert set(example.items()) == used


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name):
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["restart"] == ("on-failure" if name in ONCE else "unless-stopped")
    assert "healthcheck" in service or name in ONCE | {"prefect-services"}
    assert re.fullmatch(r"[\w/-]+:(\d[\w.-]+|\$\{POLYMLOPS_TAG:-\d[\w.]+\})", service["image"])
    assert "build" in service or service["user"] != "root"
    assert not {"privileged", "network_mode", "pid", "ipc"} & set(service)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_unless_said_otherwise(name):
    ports = [interpolated(port, SECRETS) for port in SERVICES[name].get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert bool(ports) == (name in {"prefect-server", "mlflow"})


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"postgres", "redis"}))
def test_nothing_calls_home(name):
    assert SERVICES[name]["environment"].items() >= QUIET.items()


def test_workers_reach_no_database():
    networks = yaml.safe_load(COMPOSE.read_text())["networks"]
    assert networks["stores"] == {"internal": True}
    assert {name for name in SERVICES if "stores" not in SERVICES[name]["networks"]} == {
        "worker-cpu",
        "worker-gpu",
        "mlflow-account",
    }
    for name in ("worker-cpu", "worker-gpu"):
        assert not [key for key in SERVICES[name]["environment"] if re.search("PG|REDIS|DATABASE|ADMIN", key)]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_images_are_pinned_and_run_without_root(path):
    text = path.read_text()
    assert re.search(r"^ARG PYTHON=\d+\.\d+\.\d+-slim-\w+$", text, re.MULTILINE)
    bases = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE))
    assert bases <= {"python:${PYTHON}", "build", "base"}
    final = text[text.rindex("\nFROM ") :]
    assert re.findall(r"^USER (.*)$", final, re.MULTILINE) == ["10001"]
    assert re.search(r"pip install .*--constraint constraints\.txt", text)
    assert "://" not in text


def _plugin() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0


@pytest.mark.skipif(not _plugin(), reason="no docker compose here")
def test_compose_reads_the_file_as_these_tests_do(tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **SECRETS}
    command = [
        "docker",
        "compose",
        "--profile=gpu",
        f"--file={COMPOSE}",
        "config",
        "--format=json",
        "--no-path-resolution",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, service in json.loads(done.stdout)["services"].items():
        raw = SERVICES[name]["environment"]
        ours = {key: interpolated(str(value), SECRETS) for key, value in raw.items()}
        assert {key: value.replace("$$", "$") for key, value in service["environment"].items()} == ours
        assert service["command"] == [interpolated(part, {}).replace("$", "$$") for part in SERVICES[name]["command"]]
    del environment["PREFECT_AUTH"]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode != 0


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="no hadolint here")
@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path):
    command = ["hadolint", f"--config={DOCKER.parent / '.hadolint.yaml'}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_a_worker_keeps_lies_on_its_volume(path):
    [folder] = re.findall(r"^ENV POLYMLOPS_WORKDIR=(\S+)$", path.read_text(), re.MULTILINE)
    service = SERVICES[f"worker-{path.suffix.removeprefix('.')}"]
    assert [volume.split(":")[1] for volume in service["volumes"]] == [folder]
    for template in (DOCKER.parent / "deployments" / "job_templates").glob("*.json"):
        mounts = re.findall(r'"(?:mountPath": "|polymlops-work:)([^"]+)"', template.read_text())
        assert mounts == [folder], template.name
