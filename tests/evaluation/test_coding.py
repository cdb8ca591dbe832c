"""Known programs get their known scores; a killed run keeps its shards; what the harness could not judge is null."""

import math

import polars as pl
import pytest

from polymlops.config.code_slices import CodeScoreSpec
from polymlops.config.coding import CodeScoring
from polymlops.config.sandbox import SandboxLimits
from polymlops.config.suites import WorldSuiteConfig
from polymlops.data.suites import load_suite
from polymlops.errors import InputError
from polymlops.evaluation import coding
from polymlops.evaluation.coding import CodeInputs, code_curve, code_metrics, score_programs
from polymlops.generation.sampling import SCHEMA

SUITE = WorldSuiteConfig(count=5)
SCORING = CodeScoring(ks=(1, 2), shard_problems=2, limits=SandboxLimits(workers=1))
SPEC = CodeScoreSpec(arm="a", seed=7, domain="code_world", suite=SUITE, scoring=SCORING)
WRONG, BROKEN = "    return object()\n", "    return (\n"


def write_samples(folder, problems, answers_of):
    rows = [
        ("a", 7, "code_world", problem.task_id, k, problem.prompt, text, 10, -5.0, 0.1, "stop")
        for problem in problems
        for k, text in enumerate(answers_of(problem))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(folder / "samples.parquet")
    return CodeInputs(folder)


def mixed(problem):
    return [problem.canonical_solution, WRONG, BROKEN]


@pytest.fixture
def inputs(tmp_path):
    return write_samples(tmp_path / "samples", load_suite(SUITE).problems, mixed)


@pytest.fixture
def scored(inputs, make_job):
    job = make_job()
    return job, score_programs(SPEC, inputs, job)


def test_every_candidate_has_its_verdict(scored):
    scores = pl.read_parquet(scored[0].output / "scores.parquet")
    assert scores["passed"].to_list() == [True, False, False] * 5
    assert scores["quality"].to_list() == [1.0, 0.0, 0.0] * 5
    assert scores["well_formed"].to_list() == [True, True, False] * 5
    assert scores["verdict"].to_list() == ["passed", "failed", "syntax_error"] * 5
    assert scores["intent"].is_null().to_list() == [False, False, True] * 5
    assert scores["selector_logprob"].to_list() == [-0.5] * 15
    assert set(scores["arm"]) == {"a"}
    assert set(scores["seed"]) == {7}


def test_metrics_are_those_of_the_known_verdicts(scored):
    metrics = scored[1]
    assert metrics["code_world/pass_at_1"] == pytest.approx(1 / 3)
    assert metrics["code_world/pass_at_2"] == pytest.approx(2 / 3)
    assert metrics["code_world/distinct_passing_algorithms_at_1"] == pytest.approx(1 / 3)
    assert metrics["code_world/algorithms_passing"] == 1
    assert metrics["code_world/verdict_syntax_error"] == 5
    assert metrics["code_world/harness_errors"] == 0
    assert math.isnan(metrics["code_world/ast_diversity_passing"]), "one passing program has no pair"
    assert 0 < metrics["code_world/ast_diversity"] <= 1


def test_programs_lie_beside_their_scores_and_texts_are_not_changed(scored):
    programs = pl.read_parquet(scored[0].output / "programs.parquet")
    solutions = [problem.canonical_program for problem in load_suite(SUITE).problems]
    assert [text.rstrip("\n") for text in programs["program"][::3]] == [text.rstrip("\n") for text in solutions]
    assert set(programs["form"]) == {"body", "unread"}


def test_a_killed_run_goes_on_at_the_first_missing_shard(inputs, make_job, monkeypatch, scored):
    job, original, calls = make_job("killed"), coding.run_answers, []

    def die_at_the_second(answers, suite, pool):
        calls.append(len(answers))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(answers, suite, pool)

    monkeypatch.setattr(coding, "run_answers", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        score_programs(SPEC, inputs, job)
    assert score_programs(SPEC, inputs, job) == pytest.approx(scored[1], nan_ok=True)
    assert calls == [6, 6, 6, 3], "one shard, the killed one, then only the two that were missing"
    columns = ("prompt_id", "sample_id", "passed", "intent")
    first, again = (pl.read_parquet(j.output / "scores.parquet").select(columns) for j in (scored[0], job))
    assert again.equals(first)


def test_the_dense_curve_is_logged_with_k_as_its_step(inputs, make_job):
    logged = []
    job = make_job("logged")
    score_programs(
        SPEC, inputs, type(job)(job.output, job.scratch, lambda metrics, step: logged.append((step, metrics)))
    )
    assert [step for step, _ in logged] == [1, 2, 3]
    assert [row["code_world/pass_at_k"] for _, row in logged] == pytest.approx([1 / 3, 2 / 3, 1])


def test_samples_of_another_suite_are_refused(tmp_path, make_job):
    inputs = write_samples(
        tmp_path / "other", load_suite(WorldSuiteConfig(split="validation", count=1)).problems, mixed
    )
    with pytest.raises(InputError, match="is no problem of embedded world"):
        score_programs(SPEC, inputs, make_job())


def test_what_the_harness_could_not_judge_is_no_sample():
    rows = {
        "prompt_id": ["p"] * 3 + ["q"] * 3,
        "passed": [True, False, None, None, None, None],
        "intent": ["x", None, "x", "y", "y", "y"],
        "well_formed": [True] * 6,
        "verdict": ["passed", "failed", *["harness_error"] * 4],
        "in_one_process": [False] * 6,
    }
    scores = pl.DataFrame(rows)
    diversity = pl.DataFrame({"prompt_id": ["p", "q"], "ast_diversity": [0.5, None]})
    metrics = code_metrics(scores, diversity, (1,))
    assert metrics["harness_errors"] == 4
    assert metrics["verdict_harness_error"] == 4
    assert (metrics["pass_at_1"], metrics["undefined_at_1"]) == (0.5, 1), "q has no sample: left out and counted, not 0"
    assert math.isnan(code_metrics(scores.tail(3), diversity, (1,))["pass_at_1"])
    assert code_curve(scores.head(3), 2) == {1: 0.5, 2: 1.0}
    assert metrics["ast_diversity"] == 0.5
