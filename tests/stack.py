"""The services of docker/compose.yaml as processes of this machine, in order, each ended by its pid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from compose_file import DOCKER, SECRETS, Service, read_services

READY_TIMEOUT_S = 300  # minutes, where other work shares the cores
STOP_TIMEOUT_S = 60
SERVERS = ("postgres", "redis", "prefect-migrate", "prefect-server", "prefect-services")
SERVERS += ("mlflow-migrate", "mlflow", "mlflow-account")  # in the order in which they start
POSTGRES_USER = "postgres"  # Postgres refuses to run as root


def missing_programs() -> list[str]:
    """What the stack needs and this machine lacks."""
    lacking = [name for name in ("redis-server", "redis-cli", "pg_isready", "psql") if shutil.which(name) is None]
    return lacking + ([] if _postgres_folder() else ["postgres"])


def _postgres_folder() -> Path | None:
    """Where initdb is: on the path, or in Debian's folder of the newest version."""
    on_path = shutil.which("initdb")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return Path(on_path).parent if on_path else found[-1].parent if found else None


@dataclass
class Stack:
    """Processes by the name of their service; output goes to files in `root`."""

    root: Path
    address: str
    proxy: str
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    services: dict[str, Service] = field(init=False)

    def __post_init__(self) -> None:
        self.services = read_services(self.address, self.root)

    def up(self, *names: str) -> None:
        """Start services in this order; each is healthy, or done, before the next."""
        for name in names:
            self.start(name)
            if self.services[name].healthcheck:
                self.wait_healthy(name)
            elif name != "prefect-services":  # it has no health to ask for; all others do one thing and end
                assert self.running.pop(name).wait(READY_TIMEOUT_S) == 0, self.log(name)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a service's command with its environment and nothing of the user's."""
        service = self.services[name]
        for folder in service.folders:
            folder.mkdir(parents=True, exist_ok=True)
        new = name == "postgres" and not (self.root / "postgres" / "cluster").exists()
        if new:
            self._make_cluster()
        self.running[name] = self.process(name, *service.command)
        if new:
            self._make_databases()
        return self.running[name]

    def process(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start any command with the environment of a service."""
        with (self.root / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **(self._unprivileged() if name == "postgres" else {}),
            )

    def environment(self, name: str) -> dict[str, str]:
        """What the file sets, and what an image has; all that is not for this machine goes to the proxy."""
        image = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(_postgres_folder()), "/usr/bin", "/bin"]),
            "HOME": str(self.root),
            "LANG": "C.UTF-8",
            "PGDATA": str(self.root / "postgres" / "cluster"),
            "HTTP_PROXY": self.proxy,
            "HTTPS_PROXY": self.proxy,
            "NO_PROXY": self.address,
        }
        return image | dict(self.services[name].environment)

    def wait_healthy(self, name: str) -> None:
        """Run the service's own healthcheck until it succeeds."""
        check, process = self.services[name].healthcheck, self.running[name]
        deadline = time.monotonic() + READY_TIMEOUT_S
        while subprocess.run(check, env=self.environment(name), capture_output=True, check=False).returncode:
            assert process.poll() is None, f"{name} ended with {process.returncode}:\n{self.log(name)}"
            assert time.monotonic() < deadline, f"{name} is not healthy:\n{self.log(name)}"
            time.sleep(0.5)

    def log(self, name: str) -> str:
        """The last of what a service printed."""
        return (self.root / f"{name}.log").read_text(errors="replace")[-8000:]

    def family(self, name: str) -> list[psutil.Process]:
        """The service's process and all below it."""
        process = psutil.Process(self.running[name].pid)
        return [process, *process.children(recursive=True)]

    def stop(self, name: str) -> int:
        """The signal by which compose stops a container (Postgres's image asks for SIGINT); gives the exit code."""
        process = self.running.pop(name)
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
        try:
            return process.wait(STOP_TIMEOUT_S)
        finally:
            for left in [process, *family]:
                if left.poll() is None if isinstance(left, subprocess.Popen) else left.is_running():
                    left.kill()

    def kill(self, name: str) -> None:
        """SIGKILL for a service and all below it, as where its container is killed."""
        family = self.family(name)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.running.pop(name).wait()
        psutil.wait_procs(family, STOP_TIMEOUT_S)

    def fallen(self) -> list[str]:
        """Services that have ended by themselves."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def close(self) -> None:
        """End everything, the last first."""
        for name in reversed(list(self.running)):
            self.stop(name)

    def _make_cluster(self) -> None:
        """What the Postgres image does at its first start."""
        password = self.root / "postgres" / "password"
        password.write_text(SECRETS["POSTGRES_PASSWORD"])
        owner = self._unprivileged()
        if owner:
            for path in (password.parent, password):
                shutil.chown(path, POSTGRES_USER, POSTGRES_USER)
        options = self.services["postgres"].environment["POSTGRES_INITDB_ARGS"].split()
        command = ["initdb", f"--username={POSTGRES_USER}", f"--pwfile={password}", "--no-sync", *options]
        subprocess.run(
            command, env=self.environment("postgres"), cwd=self.root, capture_output=True, check=True, **owner
        )
        sockets = f"unix_socket_directories = '{self.root / 'postgres'}'\n"
        with (self.root / "postgres" / "cluster" / "postgresql.conf").open("a") as settings:
            settings.write(sockets)

    def _make_databases(self) -> None:
        self.wait_healthy("postgres")
        environment = self.environment("postgres")
        login = {"PGHOST": self.address, "PGPASSWORD": environment["POSTGRES_PASSWORD"]}
        subprocess.run([DOCKER / "make_databases.sh"], env=environment | login, check=True, capture_output=True)

    def _unprivileged(self) -> dict:
        return {"user": POSTGRES_USER, "group": POSTGRES_USER, "extra_groups": []} if os.getuid() == 0 else {}
