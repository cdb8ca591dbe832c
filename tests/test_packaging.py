"""The wheel is whole: a checkout is not needed to run anything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    for name in ("polymlops", "tasks", "flows"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return zipfile.ZipFile(next((source / "dist").glob("*.whl")))


@pytest.mark.slow
def test_the_wheel_carries_every_module_and_profile(wheel):
    inside = set(wheel.namelist())
    for folder in ("polymlops", "tasks", "flows"):
        modules = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.py")}
        assert modules - inside == set()
    profiles = {f"polymlops/profiles/{path.name}" for path in (ROOT / "polymlops/profiles").glob("*.yaml")}
    assert len(profiles) >= 2
    assert profiles - inside == set()
    assert not any(name.startswith("tests") for name in inside)


@pytest.mark.slow
def test_the_console_script_is_named(wheel):
    [entry_points] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "polymlops = flows.cli:main" in wheel.read(entry_points).decode()


def test_constraints_are_names_and_versions_only():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)]
    assert wrong == []
    assert "torch==2.13.0" in lines
