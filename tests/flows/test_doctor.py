"""`doctor`: each check against a machine, a folder or a server that is as it says; nothing is loaded or shown."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from processes import clean_environment

from polymlops.config.profiles import load_config


def test_healthy_machine_is_exit_0_with_a_line_a_check(shell, tmp_path):
    code, done = shell.run("doctor", "smoke", "--set", f"output_dir={tmp_path / 'out'}", "--set", "execution.threads=1")
    assert code == 0, done.out + done.err
    names = [line.split(maxsplit=1)[1].split(":")[0] for line in done.out.splitlines()]
    assert {"python", "prefect", "fastapi", "output folder", "disk", "memory", "threads", "tracking store"} <= set(
        names
    )


def test_failing_check_is_exit_1_with_its_remedy(shell, tmp_path):
    (tmp_path / "file").write_text("in the way")
    arguments = ["--set", f"output_dir={tmp_path / 'file' / 'out'}", "--set", "tracking.uri=http://127.0.0.1:9"]
    code, done = shell.run("doctor", "smoke", "--json", *arguments, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert code == 1
    failed = {check["name"]: check for check in json.loads(done.out) if check["level"] == "fail"}
    assert set(failed) == {"output folder", "tracking store"}
    assert all(check["remedy"] for check in failed.values())


def test_taken_port_and_too_many_threads_are_warnings(monkeypatch):
    from flows import doctor

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(doctor, "PORTS", {"MLflow": taken.getsockname()[1]})
        (check,) = doctor.check_ports()
    assert check.level == "warn"
    assert "--mlflow-port 0" in check.remedy
    assert doctor.check_threads(10_000).level == "warn"
    assert doctor.check_threads(1).level == "ok"


@pytest.mark.parametrize(
    ("line", "level"), [("numpy>=1", "ok"), ("numpy<1", "fail"), ("no-such-distribution-here", "fail")]
)
def test_package_range(line, level):
    from packaging.requirements import Requirement

    from flows.doctor import check_package

    check = check_package(Requirement(line))
    assert check.level == level
    assert (check.remedy == "") == (level == "ok")


def test_every_check_of_a_config_has_a_known_level(tmp_path):
    from flows.doctor import examine

    checks = examine(load_config("smoke", [f"output_dir={tmp_path}"]))
    assert {check.level for check in checks} <= {"ok", "warn", "fail"}
    assert len(checks) > 20


@contextmanager
def serving(answer):
    """A loopback server; `answer` gives status and headers for a path, and `asked` lists the paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            status, headers = answer(self.path)
            self.send_response(status)
            for name, value in ({"Content-Length": "0"} | headers).items():
                self.send_header(name, value)
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


HUB = """
import sys
from flows.doctor_reach import check_hub
from polymlops.config.profiles import load_config
for check in check_hub(load_config("qwen3-8b", sys.argv[1:])):
    print(check.level, check.name, check.found)
"""


def hub_lines(tmp_path, endpoint, *overrides, **environment):
    """What a process says that is told about a hub by its environment."""
    known = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "HF_TOKEN": "secret-token"}
    command = [sys.executable, "-c", HUB, *overrides]
    done = subprocess.run(
        command, env=clean_environment(**known | environment), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "secret-token" not in done.stdout + done.stderr
    return dict(line.split(" ", 2)[1::-1] for line in done.stdout.splitlines()), done.stdout


def test_the_hub_is_asked_for_access_and_licence_before_gigabytes(tmp_path):
    def answer(path):
        if path.startswith("/Qwen/Qwen3-8B/"):
            return 403, {"X-Error-Code": "GatedRepo"}
        return (404, {"X-Error-Code": "RevisionNotFound"}) if "openai_humaneval" in path else (302, {})

    with serving(answer) as (endpoint, asked):
        levels, said = hub_lines(
            tmp_path, endpoint, "base_model.encoder={kind: hub, id: a/b, revision: " + "f" * 40 + "}"
        )
    assert levels == {"base_model.id": "fail", "base_model.encoder.id": "ok", "code.suite.hub": "fail"}
    assert "gated: accept its licence" in said
    assert "no such commit" in said
    assert {authorization for _, authorization in asked} == {"Bearer secret-token"}
    assert asked[0][0].endswith("/config.json")


def test_a_hub_out_of_reach_is_a_warning_and_offline_is_honoured(tmp_path):
    levels, said = hub_lines(tmp_path, "http://127.0.0.1:9")
    assert set(levels.values()) == {"warn"}
    assert "cannot be reached" in said
    with serving(lambda path: (200, {})) as (endpoint, asked):
        levels, said = hub_lines(tmp_path, endpoint, HF_HUB_OFFLINE="1")
    assert set(levels.values()) == {"warn"}
    assert "HF_HUB_OFFLINE is set" in said
    assert asked == []


def test_keys_are_looked_for_and_never_shown(monkeypatch):
    from flows.doctor_reach import check_judges

    with serving(lambda path: (404, {})) as (endpoint, asked):
        judge = f"creative.judge.backend={{kind: endpoint, model: m, base_url: {endpoint}/v1, key_env: A_KEY}}"
        config = load_config("smoke", [judge])
        monkeypatch.delenv("A_KEY", raising=False)
        missing = list(check_judges(config))
        monkeypatch.setenv("A_KEY", "sk-never-shown")
        there = list(check_judges(config))
    assert [check.level for check in missing] == ["fail", "ok"]
    assert "export A_KEY" in missing[0].remedy
    assert [check.level for check in there] == ["ok", "ok"]
    assert "sk-never-shown" not in str(missing + there)
    assert all(authorization is None for _, authorization in asked)
    assert [check.level for check in check_judges(config)][1] == "warn"  # its server is gone
    assert list(check_judges(load_config("smoke"))) == []


def test_files_that_a_config_names_must_be_there(tmp_path, llama_folder):
    from flows.doctor_files import check_files

    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}")
    named = {
        "data": f"data.source={{kind: file, path: {rows}}}",
        "base": f"base_model={{kind: folder, path: {llama_folder}}}",
        "suite": f"code.suite={{kind: file, path: {rows}}}",
        "prompts": f"creative.source={{kind: file, path: {rows}}}",
        "judge": f"creative.judge.backend={{kind: local, path: {llama_folder}}}",
        "ratings": f"creative.ratings={rows}",
    }
    there = list(check_files(load_config("smoke", named.values())))
    assert len(there) == len(named)
    assert {check.level for check in there} == {"ok"}
    gone = [line.replace(str(rows), str(tmp_path / "gone")) for line in named.values()]
    gone = [line.replace(str(llama_folder), str(tmp_path)) for line in gone]
    found = list(check_files(load_config("smoke", gone)))
    assert {check.level for check in found} == {"fail"}
    assert all(f"--set {check.name}=" in check.remedy for check in found)
    assert list(check_files(load_config("smoke"))) == []


def with_gpu(tmp_path, monkeypatch, line, code=0):
    """A driver's tool that says this."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{line}'\nexit {code}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def machine(*overrides, profile="qwen3-8b"):
    from flows.doctor_machine import check_machine

    return {check.name: check for check in check_machine(load_config(profile, overrides))}


@pytest.fixture
def cuda_build(monkeypatch):
    from flows import doctor_machine

    monkeypatch.setattr(doctor_machine, "version", lambda name: "2.13.0+cu128")


def test_a_fitting_gpu_is_ok_and_a_small_or_old_one_is_not(tmp_path, monkeypatch, cuda_build):
    with_gpu(tmp_path, monkeypatch, "NVIDIA H100 80GB HBM3, 550.54, 81559, 81000, 9.0")
    found = machine()
    assert {found[name].level for name in ("GPU", "bfloat16", "memory")} == {"ok"}
    assert "H100" in found["memory"].found
    assert machine("sft.processes=2", "sft.batch=32")["GPUs"].level == "fail"
    with_gpu(tmp_path, monkeypatch, "Tesla P4, 550.54, 7680, 7500, 6.1")
    found = machine()
    assert [found[name].level for name in ("GPU", "bfloat16", "memory")] == ["ok", "fail", "fail"]
    assert "micro_batch" in found["memory"].remedy
    with_gpu(tmp_path, monkeypatch, "no devices", code=9)
    assert machine()["GPU"].level == "fail"


def test_without_a_gpu_four_bits_fail_and_the_rest_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine()["GPU"].level == "fail"
    assert machine("base_model.quantization=none")["GPU"].level == "warn"
    assert machine(profile="smoke")["GPU"].level == "ok"
    elsewhere = machine("execution.mode=pools", "tracking.uri=http://127.0.0.1:9")
    assert elsewhere["GPU"].level == "warn"
    assert "execution.mode=local" in elsewhere["GPU"].found


def test_disk_and_memory_are_held_against_computed_needs(tmp_path):
    small = machine(f"output_dir={tmp_path}", profile="smoke")
    assert small["disk"].level in ("ok", "warn")
    assert "needed" in small["disk"].found
    large = machine("base_model.hidden=200000", "base_model.layers=90", f"output_dir={tmp_path}", profile="smoke")
    assert large["memory"].level == large["disk"].level == "fail"
    assert "pretraining" in large["memory"].found


def test_extras_are_needed_where_they_are_used():
    from flows.doctor import examine

    names = {check.name for check in examine(load_config("qwen3-8b"))}
    assert "bitsandbytes" in names
    assert "bitsandbytes" not in {check.name for check in examine(load_config("smoke"))}


def test_an_api_that_workers_need_is_asked(monkeypatch):
    from flows.doctor_reach import check_prefect

    pools = load_config("smoke", ["execution.mode=pools", "tracking.uri=http://127.0.0.1:9"])
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert [check.level for check in check_prefect(pools)] == ["fail"]
    assert list(check_prefect(load_config("smoke"))) == []
    with serving(lambda path: (200 if path == "/api/health" else 500, {})) as (endpoint, _):
        monkeypatch.setenv("PREFECT_API_URL", f"{endpoint}/api")
        assert [check.level for check in check_prefect(pools)] == ["ok"]
    assert [check.level for check in check_prefect(pools)] == ["fail"]


def test_the_server_that_draws_is_asked(tmp_path):
    from flows.doctor_reach import check_samplers

    with serving(lambda path: (200, {})) as (endpoint, asked):
        config = load_config("smoke", ["sampling.engine=vllm", f"sampling.vllm_url={endpoint}"])
        assert [check.level for check in check_samplers(config)] == ["ok"]
    assert len(asked) == 1
    assert [check.level for check in check_samplers(config)] == ["fail"]
    assert list(check_samplers(load_config("smoke"))) == []


def test_a_tracking_server_is_asked_once_and_its_password_is_not_shown(tmp_path, monkeypatch):
    from flows.doctor_reach import check_tracking

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "never-shown")
    statuses = iter((200, 401, 500))
    with serving(lambda path: (next(statuses), {})) as (endpoint, asked):
        uri = endpoint.replace("http://", "http://ben:neither@")
        found = [check_tracking(load_config("smoke", [f"tracking.uri={uri}"])) for _ in range(3)]
    assert [check.level for check in found] == ["ok", "fail", "fail"]
    assert "MLFLOW_TRACKING_USERNAME" in found[1].remedy
    assert len(asked) == 3
    assert not {"never-shown", "neither"} & set(str(found).replace("@", " ").replace(":", " ").split())
    gone = check_tracking(load_config("smoke", [f"tracking.uri={endpoint}"]))
    assert (gone.level, "does not answer" in gone.found) == ("fail", True)
    (tmp_path / "mlflow.db").write_bytes(b"no database")
    assert check_tracking(load_config("smoke", [f"output_dir={tmp_path}"])).level == "fail"


def test_nothing_that_takes_seconds_is_imported(tmp_path):
    """Neither torch nor MLflow nor Prefect: a first call answers before anybody has left."""
    script = (
        "import sys; from click.testing import CliRunner; from flows.cli import main; "
        f"CliRunner().invoke(main, ['doctor', 'qwen3-8b', '--set', 'output_dir={tmp_path}']); "
        "print(sorted({'torch', 'mlflow', 'prefect'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script]
    environment = clean_environment(HF_HUB_OFFLINE="1")
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
