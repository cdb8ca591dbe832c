"""`score --suite`: completions are executed in the sandbox, their verdicts written, and scored as any candidates."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.score_requests import writable_folder
from flows.scoring import ScoreRequest, score_command
from flows.suite_requests import check, suite_config
from polymlops.config.coding import CodeScoring, domain_of
from polymlops.config.sandbox import SandboxLimits
from polymlops.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from polymlops.data.suite_problems import Suite

VERDICTS = "verdicts.jsonl"


def score_programs_command(request: ScoreRequest) -> None:
    """Execute every file's completions, each file an arm; write verdicts.jsonl and print the scores."""
    from polymlops.data.suites import load_suite

    config = suite_config(request.suite, request.suite_file)
    limits = SandboxLimits(require_isolation=request.require_isolation, workers=request.workers)
    out = writable_folder(request.out)
    suite = load_suite(config)
    if request.check_suite:
        check(suite, limits)
    files = [Path(file) for file in request.files]
    if len({file.name for file in files}) < len(files):
        raise InputError("two files have one name, by which their arms are called: rename one")
    rows = pl_concat([_execute(file, suite, limits) for file in files])
    target = (out / VERDICTS) if out else files[0].with_name(f"{files[0].name.partition('.')[0]}.{VERDICTS}")
    _write(rows, target)
    about: dict[str, Any] = {"suite": suite.source, "verdicts": str(target), "executed": _metrics(rows)}
    domain = domain_of(config) if request.domain == "candidates" else request.domain
    with tempfile.TemporaryDirectory() as folder:
        judged = Path(folder) / VERDICTS
        _write(rows, judged)
        score_command(replace(request, files=(str(judged),), domain=domain), about)


def pl_concat(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The rows of all files."""
    import polars as pl

    return pl.concat(frames)


def _execute(file: Path, suite: Suite, limits: SandboxLimits) -> pl.DataFrame:
    """One row a completion: arm, task_id, sample_id, completion, passed, verdict, reason and what else is known."""
    import polars as pl

    from polymlops.evaluation.completion_files import read_completions
    from polymlops.evaluation.program_runs import Answer, run_answers
    from polymlops.evaluation.sandbox import SandboxPool

    completions = read_completions(file, suite)
    answers = [Answer(item.task_id, item.sample_id, item.text) for item in completions]
    with SandboxPool(limits) as pool:
        runs = run_answers(answers, suite, pool)
    texts = pl.Series("completion", [item.text for item in completions], dtype=pl.String)
    arm = pl.lit(file.name.partition(".")[0]).alias("arm")
    return runs.rename({"prompt_id": "task_id"}).with_columns(arm, texts)


def _metrics(rows: pl.DataFrame) -> dict[str, dict[str, float]]:
    """By arm what `score` itself does not know: verdicts, trees, what ran in one process."""
    import polars as pl

    from polymlops.evaluation.program_diversity import program_diversity

    found: dict[str, dict[str, float]] = {}
    for (arm,), part in rows.group_by("arm", maintain_order=True):
        verdicts = {f"verdict_{name}": float(count) for name, count in part["verdict"].value_counts().iter_rows()}
        trees = program_diversity(part.rename({"task_id": "prompt_id"}), CodeScoring().same_algorithm)
        means = trees.table.select(pl.selectors.numeric().mean()).row(0, named=True)
        found[str(arm)] = verdicts | {"in_one_process": float(part["in_one_process"].sum())} | means
    return found


def _write(rows: pl.DataFrame, path: Path) -> None:
    try:
        rows.with_columns(seed=0).write_ndjson(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); give --out FOLDER") from None
