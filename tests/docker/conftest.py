"""One running stack a session, where this machine has Postgres and Redis."""

from __future__ import annotations

import random
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from stack import Stack, missing_programs

SERVERS = ("postgres", "redis", "prefect-migrate", "prefect-server", "prefect-services")
SERVERS += ("mlflow-migrate", "mlflow", "mlflow-account")


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
    root = Path(tempfile.mkdtemp(prefix="polymlops-stack-"))  # not tmp_path: the postgres user has to reach it
    root.chmod(0o755)
    draw = random.SystemRandom()
    address = f"127.{draw.randrange(1, 255)}.{draw.randrange(256)}.{draw.randrange(2, 255)}"
    try:
        with closing(Stack(root, address, telltale.url)) as stack:
            stack.up(*SERVERS)
            yield stack
    finally:
        shutil.rmtree(root, ignore_errors=True)
