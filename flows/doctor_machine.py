"""What this machine has against what a run needs: disk and memory by computed estimates, the GPU, its packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flows.checks import Check, Level, gib
from polymlops.config.base_models import EmbeddedModelConfig, FolderModelConfig, HubModelConfig
from polymlops.config.schema import ExperimentConfig
from polymlops.errors import InputError, StageError
from polymlops.models.accelerators import Gpu, nvidia_gpus
from polymlops.models.architecture import PUBLISHED, Architecture, embedded_architecture, read_architecture

PROCESS = 2 * 2**30  # bytes: what Python, torch and the servers take beside the model
CONTEXT = 2**30  # bytes: of CUDA itself on a GPU
TIGHT = 0.9  # of what is free
SMALLER = (
    "lower sft.micro_batch, grpo.micro_batch or sampling.batch, or set sft.gradient_checkpointing and "
    "grpo.gradient_checkpointing; base_model.dtype=bfloat16 halves the weights of a given model"
)


def check_machine(config: ExperimentConfig) -> Iterator[Check]:
    """Disk, GPU and memory; where workers do the work, what is missing here is a warning."""
    shape = _shape(config)
    try:
        gpus, fault = nvidia_gpus(), ""
    except StageError as error:
        gpus, fault = [], str(error)
    checks = [check_disk(config, shape), *check_gpu(config, gpus, fault), check_memory(config, shape, gpus)]
    for check in checks:
        if config.execution.mode == "pools" and check.level == "fail":
            elsewhere = f"{check.found} (here; the stages run on workers: call doctor there, with execution.mode=local)"
            check = Check(check.name, "warn", elsewhere, check.remedy)
        yield check


def _shape(config: ExperimentConfig) -> Architecture | None:
    """The base model's, where its config can be had without asking anybody."""
    base = config.base_model
    if isinstance(base, EmbeddedModelConfig):
        return embedded_architecture(base)
    try:
        if isinstance(base, FolderModelConfig):
            return read_architecture(base.path)
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(base.id, "config.json", revision=base.revision)
        return read_architecture(Path(found).parent) if isinstance(found, str) else PUBLISHED.get(base.id)
    except InputError:  # another check says what is wrong with the folder
        return None


def check_disk(config: ExperimentConfig, shape: Architecture | None) -> Check:
    """Is there room for what a whole run leaves and works on?"""
    from polymlops.models.disk_estimate import disk_need
    from polymlops.models.hub import cached_copy

    free = shutil.disk_usage(_existing(config.output_dir)).free
    if shape is None:
        return Check("disk", "warn", f"{gib(free)} free; the base model's size is not known", "see base_model.path")
    base = config.base_model
    cached = isinstance(base, HubModelConfig) and cached_copy(base.id, base.revision) is not None
    parts = disk_need(config, shape, cached)
    level = _level(sum(parts.values()), free, free)
    found = f"{gib(free)} free, {gib(sum(parts.values()))} needed ({_largest(parts)})"
    return Check("disk", level, found, "" if level == "ok" else "free some, or --set output_dir=PATH of another disk")


def check_memory(config: ExperimentConfig, shape: Architecture | None, gpus: list[Gpu]) -> Check:
    """Does the work that needs most fit where the model would lie?"""
    from polymlops.models.memory_estimate import memory_needs

    total, free, fixed, where = _device(config, gpus)
    if shape is None:
        remedy = "fetch its config.json, or give a folder that has it"
        return Check("memory", "warn", f"{gib(free)} of {gib(total)} free {where}; the model's size unknown", remedy)
    most = max(memory_needs(config, shape), key=lambda need: need.total)
    need = most.total + fixed
    level = _level(need, free, total)
    size = f"{shape.parameters / 1e6:,.2f} M parameters"
    rough = "" if shape.known else "; its family is not known, so this is a guess"
    found = f"about {gib(need)} for {most.work} of {size} ({_largest(most.parts)}), {gib(free)} of {gib(total)} free"
    return Check("memory", level, f"{found} {where}{rough}", "" if level == "ok" else SMALLER)


def _device(config: ExperimentConfig, gpus: list[Gpu]) -> tuple[int, int, int, str]:
    """Bytes in all, free, and taken by what is no model, where the model would lie."""
    base = config.base_model
    if gpus and not isinstance(base, EmbeddedModelConfig) and base.device == "auto" and not _cpu_build():
        return gpus[0].memory, gpus[0].free, CONTEXT, f"on the {gpus[0].name}"
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total, _available(total), PROCESS, "in this machine"


def _available(total: int) -> int:
    """Bytes that programs may still take: the kernel's own estimate."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # no Linux
    return total


def check_gpu(config: ExperimentConfig, gpus: list[Gpu], fault: str) -> Iterator[Check]:
    """Device, driver and precision, where the base model asks for them."""
    base = config.base_model
    if isinstance(base, EmbeddedModelConfig) or base.device == "cpu":
        yield Check("GPU", "ok", "none is needed")
        return
    needed = base.quantization == "nf4"
    asked = max(config.sft.processes, config.grpo.processes)
    if gpus and asked > len(gpus):
        found = f"{len(gpus)} here, and training asks for {asked} processes, each on its own"
        yield Check("GPUs", "fail", found, f"--set sft.processes={len(gpus)} --set grpo.processes={len(gpus)}")
    lacking = "without one the model runs on the CPU, if it fits; smaller: --set base_model.quantization=none"
    if fault or not gpus:
        yield Check("GPU", "fail" if needed else "warn", fault or "no NVIDIA driver, so no CUDA device here", lacking)
        return
    if _cpu_build():
        yield Check(
            "GPU", "fail" if needed else "warn", "torch is built for CPUs only", "install a CUDA build of torch"
        )
        return
    gpu = gpus[0]
    yield Check("GPU", "ok", f"{gpu.name}, {gib(gpu.memory)}, driver {gpu.driver}")
    if base.dtype == "bfloat16":
        level: Level = "ok" if gpu.has_bfloat16 else "fail"
        remedy = "" if gpu.has_bfloat16 else "--set base_model.dtype=float32, or a GPU of capability 8.0 or higher"
        yield Check("bfloat16", level, f"compute capability {gpu.capability}", remedy)


def _cpu_build() -> bool:
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return True


def _level(need: float, free: float, total: float) -> Level:
    if need > total:
        return "fail"
    return "ok" if need <= TIGHT * free else "warn"


def _largest(parts: Mapping[str, int]) -> str:
    """The parts that matter, largest first."""
    named = sorted(parts.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{name} {gib(size)}" for name, size in named)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if path.is_dir())
