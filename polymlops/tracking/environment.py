"""What a run ran on: source, packages, hardware. Facts for the record; none of them decides anything."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import polymlops

MAX_DIFF = 5_000_000


@dataclass(frozen=True, slots=True)
class SourceState:
    """The checkout that the library was imported from; none of both where it is an installed package."""

    commit: str | None
    diff: str | None


def source_state(folder: Path | None = None) -> SourceState:
    """Commit and uncommitted changes of the checkout around the library."""
    package = folder or Path(polymlops.__file__).parent
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return SourceState(None, None)
    commit = _git(package, "rev-parse", "HEAD")
    diff = _git(package, "diff", "HEAD", "--no-ext-diff", "--", ":/")
    return SourceState(commit.strip() if commit else None, diff[:MAX_DIFF] if diff else None)


def package_versions() -> dict[str, str]:
    """Every installed distribution with its version."""
    found = {dist.metadata["Name"]: dist.version for dist in distributions() if dist.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def hardware() -> dict[str, str]:
    """Machine, processor, cores, memory and accelerators."""
    return {
        "hardware.host": platform.node(),
        "hardware.system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "hardware.python": platform.python_version(),
        "hardware.cores": str(os.cpu_count()),
        "hardware.memory_gb": f"{memory_bytes() / 1e9:.1f}",
        "hardware.gpus": _gpus(),
    }


def memory_bytes() -> int:
    """Physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gpus() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "none"
    return _output([tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]) or "unknown"


def _git(folder: Path, *arguments: str) -> str | None:
    return _output(["git", "-C", str(folder), *arguments])


def _output(command: list[str]) -> str | None:
    """What a command printed; none where it is not there, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
