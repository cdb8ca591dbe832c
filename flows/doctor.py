"""Is this machine fit for a run? Every check says what it found and, where that is not enough, what to do.

Nothing is downloaded, loaded or started; what is elsewhere is asked once, for three seconds.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from flows.checks import Check
from flows.commands import check_writable
from flows.doctor_files import check_files
from flows.doctor_machine import check_machine
from flows.doctor_reach import DATABASE, check_hub, check_judges, check_prefect, check_samplers, check_tracking
from polymlops.config.base_models import EmbeddedModelConfig
from polymlops.config.ingest import InteractionSource
from polymlops.config.schema import ExperimentConfig
from polymlops.errors import ConfigError, StageError

PORTS = {"Prefect": 4200, "MLflow": 5000}
PACKAGE = "polymlops"


def examine(config: ExperimentConfig) -> list[Check]:
    """Look at everything that a run of this config needs."""
    tracking = check_tracking(config)
    return [
        Check("config", "ok", f"{config.name}: {len(config.arms)} arms, {len(config.seeds)} seeds"),
        _python(),
        *_packages(_extras(config)),
        _output_folder(config),
        *check_files(config),
        *check_machine(config),
        check_threads(config.execution.threads),
        *check_hub(config),
        *check_judges(config),
        *check_samplers(config),
        tracking,
        *(_abandoned(config) if tracking.level == "ok" else ()),
        *check_prefect(config),
        *check_ports(),
    ]


def _python() -> Check:
    return Check("python", "ok", platform.python_version())


def _extras(config: ExperimentConfig) -> set[str]:
    """The optional dependencies that this config uses."""
    base, source = config.base_model, config.data.source
    found = set()
    if not isinstance(base, EmbeddedModelConfig) and base.quantization != "none":
        found.add("gpu")
    if isinstance(source, InteractionSource) and source.filters.language is not None:
        found.add("ingest")
    return found


def _packages(extras: set[str]) -> Iterator[Check]:
    try:
        declared = requires(PACKAGE) or []
    except PackageNotFoundError:
        yield Check("packages", "fail", f"{PACKAGE} is not installed", "pip install -e . in its checkout, or make demo")
        return
    for line in declared:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
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


def _output_folder(config: ExperimentConfig) -> Check:
    folder = config.output_dir
    try:
        check_writable(folder)
    except (ConfigError, StageError) as error:
        return Check("output folder", "fail", str(error), "choose another with --set output_dir=PATH")
    return Check("output folder", "ok", f"{folder.resolve()} can be written")


def check_threads(threads: int) -> Check:
    """Are there as many cores as threads?"""
    cores = os.cpu_count() or 1
    found = f"{threads} on {cores} cores"
    if threads <= cores:
        return Check("threads", "ok", found)
    return Check("threads", "warn", found, f"--set execution.threads={cores}")


def _abandoned(config: ExperimentConfig) -> Iterator[Check]:
    """Were runs left open by a process that was killed? They are closed."""
    if config.tracking.uri is None and not (config.output_dir / DATABASE).is_file():
        return
    from polymlops.tracking.abandoned import close_abandoned
    from polymlops.tracking.addresses import database_file, tracking_uri
    from polymlops.tracking.store import open_store

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
