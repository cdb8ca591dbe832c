"""What the commands do; see flows.cli for what they take."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from polymlops.config.schema import ExperimentConfig
from polymlops.errors import ConfigError, PolymlopsError, StageError, UsageError

if TYPE_CHECKING:
    from flows.printing import Phase

FAILED, BAD_REQUEST, STOPPED = 1, 2, 130
KEPT = "Finished stages are kept; the same command goes on from there."


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn errors into the exit codes and messages of the command line."""
    try:
        yield
    except PolymlopsError as error:
        where = "".join(f"{note}: " for note in getattr(error, "__notes__", []))
        _say(f"error: {where}{line}" for line in str(error).splitlines())
        if not isinstance(error, UsageError):
            _say([KEPT])
        sys.exit(BAD_REQUEST if isinstance(error, UsageError) else FAILED)
    except KeyboardInterrupt:
        _say(["stopped", KEPT])
        sys.exit(STOPPED)


def _say(lines: Iterator[str] | list[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def run_command(config: ExperimentConfig, phase: str | None, as_json: bool) -> None:
    """Run a phase or the roadmap and print its results."""
    check_writable(config.output_dir)
    show_progress()
    from flows.printing import print_results

    with contextlib.redirect_stdout(sys.stderr):  # trainers print; stdout is for results
        phases = _run_phases(config, phase)
    print_results(config, phases, as_json)


def _run_phases(config: ExperimentConfig, phase: str | None) -> dict[str, Phase]:
    """Results by the name of the phase."""
    from flows import run_core_results, run_generalization, run_novel_metrics, run_roadmap, run_theoretical_depth

    if phase == "1":
        return {"core": run_core_results(config)}
    if phase == "2":
        return {"depth": run_theoretical_depth(config)}
    if phase == "3":
        return {"generalization": run_generalization(config)}
    if phase == "4":
        return {"novel": run_novel_metrics(config)}
    roadmap = run_roadmap(config)
    names = ("core", "depth", "generalization", "novel")
    return {name: found for name in names if (found := getattr(roadmap, name)) is not None}


def plan_command(config: ExperimentConfig, as_json: bool) -> None:
    """Print the plan."""
    from flows.environment import set_environment

    set_environment(config)
    from flows.plan_printing import print_plan
    from flows.planning import all_stages, planned, spent_so_far

    print_plan(config, planned(config, all_stages).stages, spent_so_far(config), as_json)


def doctor_command(config: ExperimentConfig, as_json: bool) -> None:
    """Print the checks; fail where one does."""
    from flows.checks import print_checks
    from flows.doctor import examine
    from flows.environment import set_environment

    set_environment(config)
    checks = examine(config)
    print_checks(checks, as_json)
    if any(check.level == "fail" for check in checks):
        sys.exit(FAILED)


def ui_command(config: ExperimentConfig, prefect_port: int, mlflow_port: int) -> None:
    """Serve both UIs until a signal."""
    check_writable(config.output_dir)
    from flows.environment import set_environment
    from flows.ui import serve

    set_environment(config)
    with contextlib.suppress(KeyboardInterrupt):  # its usual end
        serve(config, prefect_port, mlflow_port)


def deploy_command(gpus: int, pool_type: str, check: bool, as_json: bool) -> None:
    """Compare a Prefect server with what it should have, and make the difference unless told to check."""
    from flows.environment import set_quiet_environment

    set_quiet_environment()
    from flows.deploying import deploy

    different = deploy(gpus, pool_type, check, as_json)
    if check and different:
        sys.exit(FAILED)


def submit_command(deployment: str, profile: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Create a flow run, and print where it is."""
    from flows.environment import set_quiet_environment

    set_quiet_environment()
    from flows.submitting import submit

    submit(deployment, profile, overrides, as_json)


def check_writable(output_dir: Path) -> None:
    """Make the output folder, and write and remove a file in it.

    Raises:
        ConfigError: it cannot be written.
        StageError: its disk is full.
    """
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output_dir) as probe:
            probe.write(b"probe")
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StageError(f"output_dir: {output_dir}: {error.strerror}; free some space") from None
        raise ConfigError(
            f"output_dir: {output_dir} cannot be written ({error.strerror}); choose another with --set output_dir=PATH"
        ) from None


def show_progress() -> None:
    """Our own messages on stderr; Prefect's go to its API, where its UI shows them."""
    warnings.simplefilter("ignore", FutureWarning)  # of libraries, about each other
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # what it reports, we raise and report
    logger = logging.getLogger("polymlops")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
