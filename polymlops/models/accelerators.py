"""The NVIDIA GPUs of this machine, asked of their driver's own tool: torch, which takes seconds, is not imported."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from polymlops.errors import StageError

TOOL, TIMEOUT_S = "nvidia-smi", 5.0
FIELDS = ("name", "driver_version", "memory.total", "memory.free", "compute_cap")
MIB = 2**20
BFLOAT16_SINCE = 8.0  # compute capability


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device; memory in bytes."""

    name: str
    driver: str
    memory: int
    free: int
    capability: float

    @property
    def has_bfloat16(self) -> bool:
        """Whether it computes in bfloat16 itself."""
        return self.capability >= BFLOAT16_SINCE


def nvidia_gpus() -> list[Gpu]:
    """The devices that the driver shows; none where there is no driver.

    Raises:
        StageError: there is a driver, and it does not answer.
    """
    tool = shutil.which(TOOL)
    if tool is None:
        return []
    command = [tool, f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
        return [_gpu(line) for line in done.stdout.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise StageError(f"{TOOL} failed ({error}): look at the driver") from error


def _gpu(line: str) -> Gpu:
    name, driver, memory, free, capability = (cell.strip() for cell in line.rsplit(",", len(FIELDS) - 1))
    return Gpu(name, driver, int(memory) * MIB, int(free) * MIB, float(capability))
