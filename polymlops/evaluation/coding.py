"""The stage that scores programs: every candidate executed in the sandbox, diversity within every problem.

Candidates are executed by shard; a shard is moved into place when it is whole, and a killed run goes on at the first
missing one. What the harness could not judge has no score: it is null, counted, and neither passes nor fails.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from polymlops.config.code_slices import CodeScoreSpec
from polymlops.data.suites import load_suite
from polymlops.evaluation.program_diversity import program_diversity
from polymlops.evaluation.program_runs import Answer, run_answers
from polymlops.evaluation.sandbox import SandboxPool
from polymlops.evaluation.shards import Frames, ScoreShard, Shard, Share, Sharing, gathered, one_by_one
from polymlops.metrics.arrays import Floats
from polymlops.metrics.pass_at_k import pass_at_k
from polymlops.metrics.semantic import distinct_at_k
from polymlops.records import Job

KEYS = ("prompt_id", "sample_id")


@dataclass(frozen=True, slots=True)
class CodeInputs:
    """Folders: the sample set."""

    samples: Path


def score_programs(spec: CodeScoreSpec, inputs: CodeInputs, job: Job, share: Share = one_by_one) -> dict[str, float]:
    """Write scores.parquet, programs.parquet (one row a candidate) and diversity.parquet (one a problem).

    scores.parquet: arm, seed, domain, prompt_id, sample_id, passed and quality (1 or 0; null where the harness failed),
    intent (cluster of the program's tree, null where it does not parse), well_formed (it parses), verdict, reason,
    cpu_seconds, in_one_process, selector_logprob, selector_length. Returns the arm's metrics as `<domain>/pass_at_1`;
    the dense curve is logged as `<domain>/pass_at_k`, with k as the step.

    Raises:
        InputError: the samples answer problems that the suite lacks.
        UsageError: `require_isolation`, and a layer is missing.
    """
    frame = _samples(inputs)
    sharing = Sharing(share, spec.scoring.shard_problems)
    tables = gathered(CodeShards(spec), inputs, frame, sharing, job)
    runs, diversity = tables["runs"], tables["diversity"]
    scores = _scores(frame, runs, tables["algorithms"])
    scores.write_parquet(job.output / "scores.parquet")
    runs.select(*KEYS, "form", "program").write_parquet(job.output / "programs.parquet")
    diversity.write_parquet(job.output / "diversity.parquet")
    for k, value in code_curve(scores, int(frame["sample_id"].max()) + 1).items():  # type: ignore[arg-type]  # a number
        job.log({f"{spec.domain}/pass_at_k": value}, k)
    metrics = code_metrics(scores, diversity, spec.scoring.ks)
    return {f"{spec.domain}/{name}": value for name, value in metrics.items()}


def code_metrics(scores: pl.DataFrame, diversity: pl.DataFrame, ks: tuple[int, ...]) -> dict[str, float]:
    """Means over problems. What needs verdicts is over the judged candidates of a problem and, at k, over the problems
    with k of them; `undefined_at_k` counts the others, where there are any.
    """
    judged_P = scores.group_by("prompt_id", maintain_order=True).agg(pl.col("passed").count())["passed"].to_numpy()
    metrics = {f"pass_at_{k}": value for k, value in code_curve(scores, max(ks)).items() if k in ks}
    for name, rows in (("distinct_algorithms", scores), ("distinct_passing_algorithms", scores.drop_nulls("passed"))):
        counted = pl.lit(True) if rows is scores else pl.col("passed")
        metrics |= {f"{name}_at_{k}": value for k, value in zip(ks, _distinct(rows, counted, ks), strict=True)}
    metrics |= {f"undefined_at_{k}": float((judged_P < k).sum()) for k in ks if (judged_P < k).any()}
    metrics["well_formed"] = float(scores["well_formed"].cast(pl.Float64).mean())  # type: ignore[arg-type]
    for name in diversity.columns[1:]:
        mean = diversity[name].cast(pl.Float64).mean()
        metrics[name] = math.nan if mean is None else float(mean)  # type: ignore[arg-type]  # of numbers
    verdicts = scores["verdict"].value_counts()
    metrics |= {f"verdict_{verdict}": float(count) for verdict, count in verdicts.sort("verdict").iter_rows()}
    metrics["harness_errors"] = float(scores["passed"].null_count())
    metrics["in_one_process"] = float(scores["in_one_process"].sum())
    return metrics


def code_curve(scores: pl.DataFrame, n: int) -> dict[int, float]:
    """Pass@k for k = 1..n, the mean over the problems with k judged candidates; NaN without one.

    What the harness could not judge is no sample: that says nothing about the program, so the others are as before.
    """
    counts = scores.group_by("prompt_id", maintain_order=True).agg(
        pl.col("passed").count().alias("judged"), pl.col("passed").sum().alias("right")
    )
    values_PM = pass_at_k(counts["judged"].to_numpy(), counts["right"].to_numpy(), np.arange(1, n + 1))
    return dict(zip(range(1, n + 1), _means(values_PM), strict=True))


@dataclass(frozen=True, slots=True)
class CodeShards:
    """Tables of a shard: `runs` and `algorithms`, one row a candidate; `diversity`, one row a problem."""

    spec: CodeScoreSpec

    @contextmanager
    def opened(self, inputs: CodeInputs) -> Iterator[ScoreShard]:
        """Load samples and suite, and start the sandbox."""
        frame, suite, scoring = _samples(inputs), load_suite(self.spec.suite), self.spec.scoring

        def score(shard: Shard) -> Frames:
            answers = [Answer(*row) for row in shard.of(frame).select(*KEYS, "text").iter_rows()]
            runs = run_answers(answers, suite, pool)
            found = program_diversity(runs, scoring.same_algorithm, scoring.limits.workers)
            return {"runs": runs, "diversity": found.table, "algorithms": found.algorithms}

        with SandboxPool(scoring.limits) as pool:
            yield score


def _samples(inputs: CodeInputs) -> pl.DataFrame:
    return pl.read_parquet(inputs.samples / "samples.parquet")


def _scores(frame: pl.DataFrame, runs: pl.DataFrame, algorithms: pl.DataFrame) -> pl.DataFrame:
    selectors = frame.select(
        *("arm", "seed", "domain", *KEYS),
        (pl.col("logprob") / pl.col("token_count")).alias("selector_logprob"),
        pl.col("text").str.len_chars().cast(pl.Float64).alias("selector_length"),
    )
    judged = runs.drop("form", "program").with_columns(pl.col("passed").cast(pl.Float64).alias("quality"))
    joined = selectors.join(judged, on=KEYS, how="left", maintain_order="left").join(
        algorithms, on=KEYS, how="left", maintain_order="left"
    )
    first = ("arm", "seed", "domain", *KEYS, "passed", "quality", "intent", "well_formed")
    return joined.select(*first, *(name for name in joined.columns if name not in first))


def _distinct(rows: pl.DataFrame, counted: pl.Expr, ks: tuple[int, ...]) -> list[float]:
    """Mean of the expected distinct algorithms among k of a problem's candidates; those without a label add none."""
    grouped = rows.group_by("prompt_id", maintain_order=True).agg(
        pl.col("intent").fill_null(""), (pl.col("intent").is_not_null() & counted).alias("counted")
    )
    values_PM = [distinct_at_k([labels], ks, [counts])[0] for _, labels, counts in grouped.iter_rows()]
    return _means(np.array(values_PM).reshape(-1, len(ks)))


def _means(values_PM: Floats) -> list[float]:
    """Mean of each column over the problems where it is defined, NaN without one."""
    defined = [values_P[~np.isnan(values_P)] for values_P in values_PM.T]
    return [float(values_P.mean()) if len(values_P) else math.nan for values_P in defined]
