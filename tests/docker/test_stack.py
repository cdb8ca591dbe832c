"""The commands and the environment of docker/compose.yaml, against real Postgres and Redis, without images."""

import ipaddress
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from compose_file import SECRETS
from mlflow import MlflowClient

RUN_TIMEOUT_S = 2400
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
OPERATOR = tuple(SECRETS["PREFECT_AUTH"].split(":"))
WORKER = ("worker", SECRETS["MLFLOW_WORKER_PASSWORD"])
ADMIN = ("admin", SECRETS["MLFLOW_ADMIN_PASSWORD"])
SERVERS = ("postgres", "redis", "prefect-server", "prefect-services", "mlflow")


@pytest.fixture(scope="module")
def web(stack) -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def prefect(stack):
    return f"http://{stack.address}:4200/api"


@pytest.fixture(scope="module")
def mlflow(stack):
    return f"http://{stack.address}:5000"


@pytest.fixture(scope="module")
def finished(stack, web, prefect) -> dict:
    """The run of the smoke roadmap that a worker carried out, in its last state."""
    stack.up("worker-cpu")
    script = Path(__file__).with_name("nightly_smoke.py")
    assert stack.process("worker-cpu", "python", str(script), str(stack.root / "worker-cpu")).wait() == 0
    [run] = web.post(f"{prefect}/flow_runs/filter", json={"limit": 1}, auth=OPERATOR).json()
    deadline = time.monotonic() + RUN_TIMEOUT_S
    while run["state_type"] not in FINAL:
        assert time.monotonic() < deadline, stack.log("worker-cpu")
        time.sleep(1)
        run = web.get(f"{prefect}/flow_runs/{run['id']}", auth=OPERATOR).json()
    return run


@pytest.mark.slow
@pytest.mark.timeout(RUN_TIMEOUT_S + 600)
def test_a_worker_runs_the_smoke_roadmap(stack, finished, mlflow, monkeypatch):
    assert finished["state_type"] == "COMPLETED", stack.log("worker-cpu")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", WORKER[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", WORKER[1])
    client = MlflowClient(mlflow)
    runs = client.search_runs([client.get_experiment_by_name("smoke").experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sum("roadmap_key" in run.data.tags for run in runs) == 1
    assert sum("stage_key" in run.data.tags for run in runs) >= 10
    assert all(run.info.artifact_uri.startswith("mlflow-artifacts:/") for run in runs)
    assert client.get_registered_model("polymlops-smoke-grpo-baseline").latest_versions


@pytest.mark.slow
def test_links_on_prefects_pages_lead_to_where_people_find_mlflow(stack, web, prefect, finished):
    pages = stack.environment("worker-cpu")["POLYMLOPS_PAGES_URL"]
    found = web.post(f"{prefect}/artifacts/latest/filter", json={"limit": 200}, auth=OPERATOR).json()
    links = re.findall(r"\]\((http[^)]*)\)", "\n".join(str(artifact["data"]) for artifact in found))
    assert finished["state_type"] == "COMPLETED"
    assert links
    assert [link for link in links if not link.startswith(f"{pages}/")] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "'; --", "two\nlines", "../up", "x" * 10_000, ""])
def test_a_name_that_is_no_slug_is_refused_before_a_run_is_made(web, prefect, finished, name):
    config = finished["parameters"]["config"] | {"name": name}
    create = f"{prefect}/deployments/{finished['deployment_id']}/create_flow_run"
    answer = web.post(create, json={"parameters": {"config": config}}, auth=OPERATOR)
    assert answer.status_code == 409
    assert "name" in answer.text


@pytest.mark.slow
def test_the_workers_account_can_be_made_again(stack, web, mlflow):
    stack.up("mlflow-account")
    asked = web.post(f"{mlflow}/api/2.0/mlflow/experiments/search", json={"max_results": 1}, auth=WORKER)
    assert asked.status_code == 200


@pytest.mark.slow
def test_nothing_fails_unseen_and_nothing_calls_home(stack, finished, telltale):
    for name in SERVERS:
        assert "Traceback" not in stack.log(name), stack.log(name)
    assert telltale.wanted == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_everything_listens_on_loopback_only(stack, finished, name):
    sockets = [each for process in stack.family(name) for each in process.net_connections("inet")]
    listening = {each.laddr.ip for each in sockets if each.status == "LISTEN"}
    assert all(ipaddress.ip_address(ip).is_loopback for ip in listening)
    assert listening or name == "prefect-services"


@pytest.mark.slow
def test_prefect_asks_who_is_there(web, prefect):
    assert web.get(f"{prefect}/health").json() is True
    assert web.get(f"{prefect}/version").status_code == 401
    assert web.get(f"{prefect}/version", auth=("operator", "guessed")).status_code == 401
    assert web.get(f"{prefect}/version", auth=OPERATOR).status_code == 200


@pytest.mark.slow
def test_mlflow_asks_who_is_there(web, mlflow):
    search = f"{mlflow}/api/2.0/mlflow/experiments/search"
    assert web.post(search, json={"max_results": 1}).status_code == 401
    assert web.post(search, json={"max_results": 1}, auth=("worker", "guessed")).status_code == 401
    assert web.post(search, json={"max_results": 1}, auth=WORKER).status_code == 200
    foreign = web.post(search, json={"max_results": 1}, auth=WORKER, headers={"Host": "attacker.example:5000"})
    assert foreign.status_code == 403


@pytest.mark.slow
def test_the_workers_account_is_no_administrator(web, mlflow):
    other = {"username": "other", "password": "another-secret"}
    create = f"{mlflow}/api/2.0/mlflow/users/create"
    assert web.post(create, json=other, auth=WORKER).status_code == 403
    assert web.post(create, json=other, auth=ADMIN).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "database", "password", "refusal"),
    [
        ("prefect", "mlflow", "PREFECT_DB_PASSWORD", "permission denied for database"),
        ("mlflow", "prefect", "MLFLOW_DB_PASSWORD", "permission denied for database"),
        ("prefect", "prefect", "MLFLOW_DB_PASSWORD", "password authentication failed"),
    ],
)
def test_databases_are_closed_to_each_other(stack, role, database, password, refusal):
    environment = stack.environment("postgres") | {"PGPASSWORD": SECRETS[password]}
    command = ["psql", f"--host={stack.address}", f"--username={role}", f"--dbname={database}", "--command=select 1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert refusal in done.stderr


@pytest.mark.slow
def test_redis_asks_for_a_password(stack):
    bare = {name: value for name, value in stack.environment("redis").items() if name != "REDISCLI_AUTH"}
    done = subprocess.run(
        ["redis-cli", "-h", stack.address, "keys", "*"], env=bare, capture_output=True, text=True, check=False
    )
    assert re.match("NOAUTH", done.stdout)


@pytest.mark.slow
def test_no_secret_is_on_a_command_line(stack):
    lines = [" ".join(process.cmdline()) for name in SERVERS for process in stack.family(name)]
    assert lines
    assert not [line for line in lines for secret in SECRETS.values() if secret in line]
