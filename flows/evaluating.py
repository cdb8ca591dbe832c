"""`evaluate`: one model, sampled on a suite, executed in the sandbox and scored; a killed call goes on where it was."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.score_requests import writable_folder
from flows.suite_requests import check, suite_config
from polymlops.config.code_slices import CodeSampleSpec, CodeScoreSpec
from polymlops.config.coding import CodeScoring, domain_of
from polymlops.config.hashing import content_hash
from polymlops.config.sampling import SamplingConfig
from polymlops.config.sandbox import SandboxLimits
from polymlops.config.slices import ReportSpec
from polymlops.config.suites import SuiteConfig
from polymlops.errors import ArtifactError, InputError
from polymlops.records import Job

if TYPE_CHECKING:
    from polymlops.tracking.tables import TableRow

ARM, DEFAULT_KS = "model", (1, 5, 10)
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """What `evaluate` takes: see flows.evaluate_options."""

    model: str
    adapter: str | None
    domain: str
    suite: str | None
    suite_file: str | None
    check_suite: bool
    require_isolation: bool
    workers: int
    prompt_format: str | None
    problems: int
    n: int
    ks: tuple[int, ...]
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int
    resamples: int
    out: str
    as_json: bool

    @property
    def suite_section(self) -> SuiteConfig:
        """The suite, asked as wanted."""
        unnamed = self.suite is None and self.suite_file is None
        config = suite_config("world" if unnamed else self.suite, self.suite_file)
        return config.model_copy(update={"format": self.prompt_format}) if self.prompt_format else config

    @property
    def sampling(self) -> SamplingConfig:
        """How candidates are drawn."""
        return SamplingConfig(
            n=self.n,
            temperature=self.temperature,
            top_p=self.top_p,
            max_new_tokens=self.max_new_tokens,
            prompts=self.problems,
            seed=self.seed,
        )

    @property
    def scoring(self) -> CodeScoring:
        """How programs are executed and compared."""
        limits = SandboxLimits(require_isolation=self.require_isolation, workers=self.workers)
        return CodeScoring(ks=self.ks or tuple(k for k in DEFAULT_KS if k <= self.n), limits=limits)


def evaluate_command(request: EvaluateRequest) -> None:
    """Sample, execute, score; write samples, verdicts and the table to `--out`, and print the table."""
    from flows.printing import print_table_rows, read_notes
    from polymlops.data.suites import load_suite
    from polymlops.tracking.tables import read_table

    if max(request.scoring.ks) > request.n:
        raise InputError(f"--k {max(request.scoring.ks)} is above --n {request.n}: sample more")
    out = writable_folder(request.out)
    assert out is not None
    base, adapter = _model(request.model), Path(request.adapter) if request.adapter else None
    suite = load_suite(request.suite_section)
    if request.check_suite:
        check(suite, request.scoring.limits)
    with contextlib.redirect_stdout(sys.stderr):
        metrics = _evaluate(request, base, adapter, out)
    rows: tuple[TableRow, ...] = read_table(out / "report")
    summary = {"suite": suite.source, "folder": str(out), "metrics": metrics, "notes": read_notes(out / "report")}
    print_table_rows(rows, summary, request.as_json)


def _model(reference: str) -> Path:
    """The folder, or the id as transformers takes it.

    Raises: InputError for what can be neither.
    """
    if Path(reference).is_dir() or HUB_ID.fullmatch(reference):
        return Path(reference)
    raise InputError(f"--model {reference}: no such folder, and no id of the Hub (owner/name)")


def _evaluate(request: EvaluateRequest, base: Path, adapter: Path | None, out: Path) -> dict[str, float]:
    from polymlops.evaluation.coding import CodeInputs, score_programs
    from polymlops.generation.code_sampling import sample_programs
    from polymlops.report.code import write_code_results

    suite, domain = request.suite_section, domain_of(request.suite_section)
    sample_spec = CodeSampleSpec(arm=ARM, seed=0, domain=domain, sampling=request.sampling, suite=suite)
    score_spec = CodeScoreSpec(arm=ARM, seed=0, domain=domain, suite=suite, scoring=request.scoring)
    key = content_hash(sample_spec, score_spec, request.model, request.adapter)
    scratch = out / "unfinished" / key
    metrics: dict[str, float] = {}
    try:
        metrics |= _step("samples", out, scratch, lambda job: sample_programs(sample_spec, base, adapter, job))
    except OSError as error:  # of transformers: neither a file there nor an answer of the Hub
        raise ArtifactError(f"--model {request.model}: cannot be loaded ({str(error).splitlines()[0]})") from error
    metrics |= _step("scores", out, scratch, lambda job: score_programs(score_spec, CodeInputs(out / "samples"), job))
    report = ReportSpec(arms=(ARM,), domain=domain, ks=request.scoring.ks, resamples=request.resamples)
    _step("report", out, scratch, lambda job: write_code_results(report, {f"{ARM}/0": out / "scores"}, job))
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
    shutil.rmtree(out / "unfinished")
    return metrics


def _step(name: str, out: Path, scratch: Path, work: Callable[[Job], Mapping[str, float]]) -> Mapping[str, float]:
    """Do one stage's work into `out/name`, with what is unfinished below `scratch`."""
    shutil.rmtree(out / name, ignore_errors=True)
    job = Job(out / name, scratch / name, lambda metrics, step: None)
    for folder in (job.output, job.scratch):
        folder.mkdir(parents=True, exist_ok=True)
    return work(job)
