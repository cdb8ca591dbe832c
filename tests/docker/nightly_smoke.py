"""Run as a script: the deployment of the smoke roadmap on pool `cpu`, and one run of it; prints the run's id.

Stands in for `polymlops deploy` and its `nightly-smoke`. All phases, with the arms that they cannot do without.
"""

from __future__ import annotations

import os
import sys

from prefect.deployments import run_deployment
from prefect.flows import EntrypointType

from flows.roadmap import roadmap
from polymlops.config.profiles import load_config

NAME = "nightly-smoke"
SMALL = ("arms=[baseline, baseline_grpo]", "evaluation.resamples=100", "execution.threads=1")


def main() -> None:
    """Deploy and schedule a run for now."""
    uri, folder = os.environ["MLFLOW_TRACKING_URI"], sys.argv[1]
    config = load_config("smoke", [f"tracking.uri={uri}", f"output_dir={folder}", *SMALL])
    parameters = {"config": config.model_dump(mode="json", by_alias=True)}
    roadmap.to_deployment(
        NAME, parameters=parameters, work_pool_name="cpu", entrypoint_type=EntrypointType.MODULE_PATH
    ).apply()
    print(run_deployment(f"{roadmap.name}/{NAME}", timeout=0).id)


if __name__ == "__main__":
    main()
