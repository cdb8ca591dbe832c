"""Models on a hub, against a scripted one on loopback: fetched once, and every refusal has its remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

REVISION = "0" * 39 + "1"
ROOT = Path(__file__).resolve().parent.parent.parent
ASK = """
import sys
from polymlops.errors import PolymlopsError
from polymlops.models.hub import snapshot
try:
    folder = snapshot(sys.argv[1], sys.argv[2])
    print("folder", sorted(path.name for path in folder.iterdir()))
except PolymlopsError as error:
    print(type(error).__name__, error)
"""


class Hub(BaseHTTPRequestHandler):
    """Knows one model, `some/model`, at one commit; `closed/model` is gated, all else is unknown."""

    files: Path
    asked: list[str]

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = self.path.partition("?")[0]
        self.asked.append(path)
        if path.startswith(("/api/models/closed/model", "/closed/model")):
            return self.refuse(403, "GatedRepo")
        if not path.startswith(("/api/models/some/model", "/some/model")):
            return self.refuse(401, "RepoNotFound")
        if REVISION not in path:
            return self.refuse(404, "RevisionNotFound")
        if path.startswith("/api/"):
            return self.send(json.dumps(self.listing(path)).encode(), body)
        return self.send((self.files / path.rpartition("/")[2]).read_bytes(), body)

    def listing(self, path):
        names = sorted(item.name for item in self.files.iterdir())
        if "/tree/" in path:
            return [
                {"type": "file", "path": name, "oid": name, "size": (self.files / name).stat().st_size}
                for name in names
            ]
        return {"id": "some/model", "sha": REVISION, "siblings": [{"rfilename": name} for name in names]}

    def refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, content, body):
        self.send_response(200)
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("ETag", f'"{self.path.rpartition("/")[2].partition("?")[0]}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(llama_folder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("ThisHub", (Hub,), {"files": llama_folder, "asked": []}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def ask(hub, tmp_path):
    def run(model, revision=REVISION, endpoint=None, offline="0"):
        port = hub.server_address[1]
        changed = {
            "HF_ENDPOINT": endpoint or f"http://127.0.0.1:{port}",
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_OFFLINE": offline,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_ETAG_TIMEOUT": "5",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-c", ASK, model, revision]
        environment = {name: value for name, value in os.environ.items() if name not in ("HF_TOKEN", "HF_HUB_CACHE")}
        done = subprocess.run(command, capture_output=True, text=True, env=environment | changed, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_a_model_is_fetched_once_and_then_found_without_the_hub(ask, hub, llama_folder):
    names = sorted(path.name for path in llama_folder.iterdir())
    assert ask("some/model") == f"folder {names}"
    asked = len(hub.RequestHandlerClass.asked)
    assert ask("some/model", endpoint="http://127.0.0.1:9") == f"folder {names}"
    assert len(hub.RequestHandlerClass.asked) == asked


@pytest.mark.parametrize(
    ("model", "revision", "parts"),
    [
        ("closed/model", REVISION, ("InputError", "gated: accept its licence", "hf auth login")),
        ("no/model", REVISION, ("InputError", "no such model, or a private one", "hf auth login")),
        ("some/model", "f" * 40, ("InputError", "no such commit")),
    ],
)
def test_a_refusal_has_its_remedy(ask, model, revision, parts):
    told = ask(model, revision)
    assert all(part in told for part in parts), told


def test_a_hub_that_cannot_be_reached_is_said_to_be(ask):
    told = ask("some/model", offline="1")  # without, the Hub's client tries again for half a minute
    assert told.startswith("ArtifactError")
    assert "cannot be reached" in told
    assert "kind: folder" in told
