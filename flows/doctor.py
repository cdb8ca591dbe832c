"""Is this machine fit for a run? Every check says what it found and, where that is not enough, what to do."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from flows.commands import check_writable
from polymlops.config.schema import ExperimentConfig
from polymlops.errors import ConfigError, StageError, TrackingError

Level = Literal["ok", "warn", "fail"]
GIB = 2**30
LEAST_DISK_GIB, GOOD_DISK_GIB = 0.5, 5.0
GOOD_MEMORY_GIB = 4.0
PORTS = {"Prefect": 4200, "MLflow": 5000}
PACKAGE = "polymlops"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    level: Level
    found: str
    remedy: str = ""


def examine(config: ExperimentConfig) -> list[Check]:
    """Look at everything that a run of this config needs."""
    store = _store(config)
    return [
        _python(),
        *_packages(),
        _output_folder(config.output_dir),
        _disk(config.output_dir),
        _memory(),
        check_threads(config.execution.threads),
        store,
        *(_abandoned(config) if store.level == "ok" else ()),
        *check_ports(),
    ]


def _python() -> Check:
    return Check("python", "ok", platform.python_version())


def _packages() -> Iterator[Check]:
    try:
        declared = requires(PACKAGE) or []
    except PackageNotFoundError:
        yield Check("packages", "fail", f"{PACKAGE} is not installed", "pip install -e . in its checkout, or make demo")
        return
    for line in declared:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield check_package(requirement)


def check_package(requirement: Requirement) -> Check:
    """Is a dependency installed in the range that the project declares?"""
    remedy = f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Check(requirement.name, "fail", "not installed", remedy)
    if requirement.specifier.contains(found, prereleases=True):
        return Check(requirement.name, "ok", found)
    return Check(requirement.name, "fail", f"{found}, needed {requirement.specifier}", remedy)


def _output_folder(folder: Path) -> Check:
    try:
        check_writable(folder)
    except (ConfigError, StageError) as error:
        return Check("output folder", "fail", str(error), "choose another with --set output_dir=PATH")
    return Check("output folder", "ok", f"{folder.resolve()} can be written")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(_existing(folder)).free / GIB
    found = f"{free:.1f} GiB free"
    if free >= GOOD_DISK_GIB:
        return Check("disk", "ok", found)
    level: Level = "warn" if free >= LEAST_DISK_GIB else "fail"
    return Check("disk", level, found, f"free {GOOD_DISK_GIB:.0f} GiB, or choose another folder")


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if path.is_dir())


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    found = f"{total:.1f} GiB"
    if total >= GOOD_MEMORY_GIB:
        return Check("memory", "ok", found)
    return Check(
        "memory", "warn", found, f"with less than {GOOD_MEMORY_GIB:.0f} GiB, lower sft.micro_batch and sampling.batch"
    )


def check_threads(threads: int) -> Check:
    """Are there as many cores as threads?"""
    cores = os.cpu_count() or 1
    found = f"{threads} on {cores} cores"
    if threads <= cores:
        return Check("threads", "ok", found)
    return Check("threads", "warn", found, f"--set execution.threads={cores}")


def _store(config: ExperimentConfig) -> Check:
    from polymlops.tracking.plans import plan_context

    where = config.tracking.uri or "the SQLite file of the output folder"
    try:
        context = plan_context(config)
    except TrackingError as error:
        return Check("tracking store", "fail", str(error), "start the server, or unset tracking.uri")
    return Check("tracking store", "ok", f"{where}{'' if context.client else ' (made by the first run)'}")


def _abandoned(config: ExperimentConfig) -> Iterator[Check]:
    """Were runs left open by a process that was killed? They are closed."""
    from polymlops.tracking.abandoned import close_abandoned
    from polymlops.tracking.store import database_file, open_store, tracking_uri

    uri = tracking_uri(config.tracking.uri, config.output_dir)
    file = database_file(uri)
    if file is not None and not file.exists():
        return
    closed = close_abandoned(open_store(uri), config.output_dir.resolve())
    found = ", ".join(f"{run.title} (run {run.run_id})" for run in closed)
    yield (
        Check("killed runs", "warn", f"closed: {found}", "run again: finished stages are kept")
        if closed
        else Check("killed runs", "ok", "none was left open")
    )


def check_ports() -> Iterator[Check]:
    """Are the default ports of the UIs free?"""
    for name, port in PORTS.items():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                remedy = f"polymlops ui --{name.lower()}-port 0 takes a free one"
                yield Check(f"port {port} ({name} UI)", "warn", error.strerror or "taken", remedy)
                continue
        yield Check(f"port {port} ({name} UI)", "ok", "free")
