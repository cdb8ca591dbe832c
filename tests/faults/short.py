"""A short roadmap of one arm, which finds data and base model in the ledger of the smoke run."""

from __future__ import annotations

import shutil
from pathlib import Path

from processes import PROFILE, SmokeRun

NAME, TRAINING, SAMPLING = "faults", "train_adapter polychromic/7", "sample_arm polychromic/7"
SHORT = ("--phase", "1", "--set", f"name={NAME}", "--set", "arms=[polychromic]", "--set", "seeds=[7]")


def short_run(smoke: SmokeRun, output_dir: Path, *more: str) -> list[str]:
    """Arguments of the command line for a run of one arm, in a folder whose ledger knows the smoke run."""
    if not (output_dir / "mlflow.db").exists():
        (output_dir / "prefect").mkdir(parents=True)
        shutil.copy(smoke.output_dir / "mlflow.db", output_dir)
        shutil.copy(smoke.output_dir / "prefect" / "prefect.db", output_dir / "prefect")  # seconds of migrations
    return ["run", PROFILE, *SHORT, "--set", f"output_dir={output_dir}", *more]
