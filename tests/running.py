"""What several folders of tests use while it runs: one undisturbed smoke run and one stack of servers a session."""

from __future__ import annotations

import os
import random
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from filelock import FileLock
from ledgers import parent_runs
from processes import PROFILE, Shell, SmokeRun
from stack import SERVERS, Stack, missing_programs

SMOKE_S = 1500  # four minutes, where nothing else runs


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` has filled, once for all processes of this test run."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"shared-{name}"
    done = folder.with_suffix(".done")
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture
def shell(tmp_path) -> Iterator[Shell]:
    with closing(Shell(tmp_path / "shell")) as shell:
        yield shell


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> Iterator[SmokeRun]:
    """`polymlops run smoke --json`, to be read only: a test that runs anything works on `after_smoke`."""
    folder = made_once(tmp_path_factory, "smoke", _run_smoke)
    yield SmokeRun(folder / "out", (folder / "printed").read_text(), float((folder / "seconds").read_text()))
    assert len(parent_runs(folder / "out")) == 1, "a test has run on the smoke run's own folder"


def _run_smoke(folder: Path) -> None:
    begin = time.monotonic()
    with closing(Shell(folder / "shell")) as shell:
        done = shell.polymlops("run", PROFILE, "--json", "--set", f"output_dir={folder / 'out'}")
        assert done.wait(SMOKE_S) == 0, done.err
    (folder / "printed").write_text(done.out)
    (folder / "seconds").write_text(str(time.monotonic() - begin))


@pytest.fixture
def after_smoke(smoke, tmp_path) -> Path:
    """Output folder after that run, with a ledger of its own: what a test adds, no other test sees."""
    return Path(shutil.copytree(smoke.output_dir, tmp_path / "after-smoke"))


class Telltale:
    """A proxy that lets nothing through and remembers who wanted to go where."""

    def __init__(self, address: str) -> None:
        self.listener = socket.create_server((address, 0))
        self.wanted: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def url(self) -> str:
        host, port = self.listener.getsockname()
        return f"http://{host}:{port}"

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # closed
                return
            with connection:
                connection.settimeout(5)
                self.wanted.append(connection.recv(500).decode(errors="replace").splitlines()[0])

    def close(self) -> None:
        self.listener.close()


@pytest.fixture(scope="session")
def telltale() -> Iterator[Telltale]:
    with closing(Telltale("127.0.0.1")) as telltale:
        yield telltale


@pytest.fixture(scope="session")
def stack(telltale) -> Iterator[Stack]:
    """The servers of docker/compose.yaml, healthy."""
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: postgresql, redis-server)")
    for package in ("prefect_redis", "psycopg", "flask_wtf"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install -e '.[servers]'")
    with open_stack(telltale.url) as stack:
        yield stack


@contextmanager
def open_stack(proxy: str | None = None) -> Iterator[Stack]:
    """Start the servers on a loopback address that nothing else uses."""
    root = Path(tempfile.mkdtemp(prefix="polymlops-stack-"))  # not tmp_path: the postgres user has to reach it
    root.chmod(0o755)
    draw = random.SystemRandom()
    address = f"127.{draw.randrange(1, 255)}.{draw.randrange(256)}.{draw.randrange(2, 255)}"
    try:
        with closing(Stack(root, address, proxy or f"http://{address}:9")) as stack:
            stack.up(*SERVERS)
            yield stack
    finally:
        shutil.rmtree(root, ignore_errors=True)
