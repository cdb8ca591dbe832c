"""Environment of what we start: no telemetry, the output folder instead of the home folder, few threads.

Set before Prefect, MLflow and torch are imported; what the user has set stays.
"""

from __future__ import annotations

import os
from pathlib import Path

from polymlops.config.schema import ExperimentConfig

QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}
PREFECT = {
    "PREFECT_LOGGING_EXTRA_LOGGERS": "polymlops",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_CLIENT_MAX_RETRIES": "6",  # two minutes, in which a server and its database can be started again
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",  # seconds of start-up for blocks that nothing here uses
}
OTHER = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",  # a dozen bars of milliseconds around the ones that tell something
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "GIT_PYTHON_REFRESH": "quiet",  # MLflow warns where there is no git
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # a bar for every file, on top of a stage's own
    "TOKENIZERS_PARALLELISM": "false",  # its threads warn at every fork
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for results
}

# Of a flow run on a worker. The server takes a run for dead after three heartbeats that did not come.
HEARTBEAT_S = 30
WORKER = QUIET | PREFECT | OTHER | {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S), "OMP_WAIT_POLICY": "PASSIVE"}


def set_environment(config: ExperimentConfig) -> None:
    """Set what is not set."""
    threads = str(config.execution.threads)
    values = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    values["OMP_WAIT_POLICY"] = "PASSIVE"  # spinning threads cost a shared machine several times the work itself
    values["PREFECT_HOME"] = str(prefect_home(config.output_dir))
    for name, value in values.items():
        os.environ.setdefault(name, value)
    set_quiet_environment()


def set_quiet_environment() -> None:
    """Set what is not set, where nothing is computed."""
    for name, value in (QUIET | PREFECT | OTHER).items():
        os.environ.setdefault(name, value)


def prefect_home(output_dir: Path) -> Path:
    """Prefect's folder where the user has none of their own."""
    return output_dir.resolve() / "prefect"


def on_this_machine(config: ExperimentConfig) -> ExperimentConfig:
    """The config with its output folder as an absolute path of this machine.

    A worker starts each flow run in a folder that goes away; it keeps its caches below POLYMLOPS_WORKDIR.
    """
    return config.model_copy(update={"output_dir": working_folder() / config.output_dir})


def working_folder() -> Path:
    """Below which a relative output folder lies."""
    return Path(os.environ.get("POLYMLOPS_WORKDIR", ".")).resolve()
