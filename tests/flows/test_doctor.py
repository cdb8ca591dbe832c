import json
import socket

import pytest

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
