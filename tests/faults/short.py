"""A short roadmap of one arm, which finds data and base model in the ledger of the smoke run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from processes import PROFILE, SmokeRun

NAME, TRAINING, SAMPLING = "faults", "train_adapter polychromic/7", "sample_arm polychromic/7"
SHORT = ("--phase", "1", "--set", f"name={NAME}", "--set", "arms=[polychromic]", "--set", "seeds=[7]")


def short_run(smoke: SmokeRun, output_dir: Path, *more: str) -> list[str]:
    """Arguments of the command line for a run of one arm, in a folder whose ledger knows the smoke run."""
    if not (output_dir / "mlflow.db").exists():
        (output_dir / "prefect").mkdir(parents=True)
        for name in ("mlflow.db", "prefect/prefect.db"):  # Prefect's saves seconds of migrations
            _copy_database(smoke.output_dir / name, output_dir / name)
    return ["run", PROFILE, *SHORT, "--set", f"output_dir={output_dir}", *more]


def _copy_database(there: Path, here: Path) -> None:
    """With what its write-ahead log holds."""
    with closing(sqlite3.connect(there)) as source, closing(sqlite3.connect(here)) as target:
        source.backup(target)
