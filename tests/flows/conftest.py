"""One undisturbed smoke run a session, which the other tests compare with, and a shell for each test."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from processes import PROFILE, Shell, SmokeRun


@pytest.fixture
def shell(tmp_path) -> Iterator[Shell]:
    with closing(Shell(tmp_path / "shell")) as shell:
        yield shell


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> SmokeRun:
    """`polymlops run smoke --json`, undisturbed."""
    folder = tmp_path_factory.mktemp("smoke")
    begin = time.monotonic()
    with closing(Shell(folder / "shell")) as shell:
        code, done = shell.run("run", PROFILE, "--json", "--set", f"output_dir={folder / 'out'}")
        assert code == 0, done.err
        return SmokeRun(folder / "out", done.out, time.monotonic() - begin)


@pytest.fixture
def after_smoke(smoke, tmp_path) -> Path:
    """Output folder after that run, with a ledger of its own: what a test adds, no other test sees."""
    return Path(shutil.copytree(smoke.output_dir, tmp_path / "after-smoke"))
