"""No path, relative, absolute or encoded, and no URL leads out of the artifact store of the real MLflow server."""

import uuid

import httpx
import pytest
from compose_file import SECRETS

from polymlops.errors import ArtifactError, TrackingError
from polymlops.refs import ModelRef
from polymlops.tracking.artifacts import materialise, publish
from polymlops.tracking.ledger import MAX_RUN_NAME, MAX_VALUE, RUN_NAME, begin_run, set_tags
from polymlops.tracking.manifest import read_folder
from polymlops.tracking.store import open_store

WORKER = ("worker", SECRETS["MLFLOW_WORKER_PASSWORD"])
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
SECRET = "written outside of the store"
OUTWARD = (
    "..%2Foutside.txt",
    "%2e%2e/outside.txt",
    "%252e%252e%252Foutside.txt",
    "a/..%2F..%2Foutside.txt",
    "..%5Coutside.txt",
    "%2Fetc%2Fpasswd",
    "//etc/passwd",
    "file:%2F%2F%2Fetc%2Fpasswd",
    "file:///etc/passwd",
    "http:%2F%2F127.0.0.1%2Fx",
    "s3:%2F%2Fbucket%2Fx",
    "a%00/../../outside.txt",
)


@pytest.fixture(scope="module")
def server(stack):
    """A session of the workers' account, with a file beside the store that nobody may read."""
    (stack.root / "mlflow" / "outside.txt").write_text(SECRET)
    with httpx.Client(base_url=f"http://{stack.address}:5000", auth=WORKER, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def run(server):
    name = f"paths-{uuid.uuid4().hex}"
    experiment = server.post("/api/2.0/mlflow/experiments/create", json={"name": name}).json()["experiment_id"]
    return server.post("/api/2.0/mlflow/runs/create", json={"experiment_id": experiment}).json()["run"]["info"]


def _files(stack):
    root = stack.root / "mlflow"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _is_refused(answer):
    return answer.status_code >= 400 and SECRET not in answer.text and "root:" not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize("path", OUTWARD)
def test_no_path_of_a_request_leads_out(stack, server, run, path):
    before = _files(stack)
    inside = f"{run['experiment_id']}/{run['run_id']}/artifacts"
    for base in (PROXY, f"{PROXY}/{inside}"):
        assert _is_refused(server.get(f"{base}/{path}"))
        server.put(f"{base}/{path}", content=b"x")
        server.delete(f"{base}/{path}")
    after = _files(stack)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert not [name for name in changed if not name.startswith("artifacts/")]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["../outside.txt", "/etc/passwd", "file:///etc/passwd", "a/../../../outside.txt"])
def test_no_parameter_leads_out(server, run, path):
    asked = {"run_uuid": run["run_id"], "path": path}
    assert _is_refused(server.get("/get-artifact", params=asked))
    assert _is_refused(server.get("/api/2.0/mlflow/artifacts/list", params={"run_id": run["run_id"], "path": path}))
    assert _is_refused(server.get(PROXY, params={"path": path}))


@pytest.mark.slow
@pytest.mark.parametrize("place", ["file:///etc", "/etc", "mlflow-artifacts:/../..", "s3://bucket/x"])
def test_no_experiment_has_its_artifacts_elsewhere(server, place):
    asked = {"name": f"place-{uuid.uuid4().hex}", "artifact_location": place}
    made = server.post("/api/2.0/mlflow/experiments/create", json=asked)
    if made.status_code < 400:
        body = {"experiment_id": made.json()["experiment_id"]}
        run = server.post("/api/2.0/mlflow/runs/create", json=body).json()["run"]["info"]
        for path in ("passwd", "hostname", ""):
            asked = {"run_uuid": run["run_id"], "path": path}
            assert _is_refused(server.get("/get-artifact", params=asked))
            listed = server.get("/api/2.0/mlflow/artifacts/list", params={"run_id": run["run_id"]})
            assert "passwd" not in listed.text


@pytest.fixture
def ledger(stack, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", WORKER[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", WORKER[1])
    return open_store(f"http://{stack.address}:5000")


@pytest.mark.slow
@pytest.mark.parametrize(
    "run_id", ["../../outside.txt", "/etc", "file:///etc", "%2e%2e%2f", "' or '1'='1", "x" * 10_000]
)
def test_no_reference_leads_out(ledger, tmp_path, run_id):
    with pytest.raises((ArtifactError, TrackingError)):
        materialise(ledger, ModelRef(run_id=run_id, uri="file:///etc", digest="0" * 64), tmp_path / "cache")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_our_artifacts_come_back_through_the_server(ledger, run, tmp_path):
    folder = tmp_path / "made"
    (folder / "a b").mkdir(parents=True)
    (folder / "a b" / "100 % <b>'\".txt").write_text("x")
    uri, manifest = publish(ledger, run["run_id"], folder)
    assert uri.startswith("mlflow-artifacts:/")
    got = materialise(ledger, ModelRef(run_id=run["run_id"], uri=uri, digest=manifest.digest), tmp_path / "cache")
    assert read_folder(got) == manifest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "'; DROP TABLE runs; --", "two\nlines", "x" * 10_000])
def test_names_are_text_to_the_tracker(ledger, run, name):
    tags = {RUN_NAME: name, "arm": name}
    made = begin_run(ledger, run["experiment_id"], tags, {"arm": name})
    set_tags(ledger, made, tags)
    found = ledger.get_run(made)
    assert found.info.run_name == name[:MAX_RUN_NAME]
    assert found.data.tags["arm"] == name[:MAX_VALUE]
    assert found.data.params["arm"][:1000] == name[:1000]
