"""What a program in the sandbox may use, and how the sandbox runs."""

from __future__ import annotations

from pydantic import Field

from polymlops.config.section import Section


class SandboxLimits(Section):
    """Limits of one sample, and the pool that runs them."""

    cpu_seconds: float = Field(
        5.0, gt=0, le=3600, description="processor time of a sample; the judge may use as much again for the tests"
    )
    wall_seconds: float = Field(
        30.0,
        gt=0,
        le=7200,
        description="clock time of a sample: generous, so that a loaded machine fails no right answer",
    )
    memory_mib: int = Field(1024, ge=16, le=2**20, description="address space on top of the worker's own")
    file_mib: int = Field(16, ge=1, le=2**16, description="all that a sample writes into its folder, in memory")
    processes: int = Field(
        8, ge=1, le=1024, description="threads of a sample at once; another process is never started"
    )
    output_kib: int = Field(
        4096, ge=16, le=2**17, description="largest value that a sample hands over; what it prints is thrown away"
    )
    workers: int = Field(2, ge=1, le=256, description="samples that run at once")
    require_isolation: bool = Field(False, description="refuse to start where a layer of isolation is missing")
    deduplicate: bool = Field(True, description="run identical programs with identical tests once")
