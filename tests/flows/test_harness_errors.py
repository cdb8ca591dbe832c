"""A harness error that persists: a real pool, one problem whose tests end their own judge, through to the tables."""

import json
import os

import polars as pl
import pytest
from click.testing import CliRunner

from flows.cli import main
from polymlops.config.code_slices import CodeScoreSpec
from polymlops.config.coding import CodeScoring
from polymlops.config.sandbox import SandboxLimits
from polymlops.config.slices import ReportSpec
from polymlops.config.suites import FileSuiteConfig
from polymlops.evaluation.coding import CodeInputs, score_programs
from polymlops.generation.sampling import SCHEMA
from polymlops.report.code import write_code_results
from polymlops.report.core import NOTES

SOUND = "def check(candidate):\n    assert candidate(2) == 3\n"
# The process that judges ends with these: always, or for one of the answers.
DEADLY = "def check(candidate):\n    import os\n    os._exit(3)\n"
MOODY = "def check(candidate):\n    import os\n    candidate(0) == 7 and os._exit(3)\n    assert candidate(2) == 3\n"
RIGHT, WRONG, CURSED = "    return x + 1\n", "    return 2 * x\n", "    return x + 7\n"
TESTS = {"T/0": SOUND, "T/1": DEADLY, "T/2": MOODY}
ANSWERS = {"T/0": (RIGHT, WRONG, RIGHT), "T/1": (RIGHT, WRONG, WRONG), "T/2": (RIGHT, CURSED, WRONG)}
REASON = "workers died of it"


@pytest.fixture(autouse=True)
def own_environment():
    """What the commands set must not outlive the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def suite(tmp_path):
    rows = [
        {"task_id": task, "prompt": f'def f(x):\n    """{task}"""\n', "entry_point": "f"}
        | {"canonical_solution": RIGHT, "test": tests}
        for task, tests in TESTS.items()
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def scored(suite, tmp_path, make_job):
    """Folder and metrics of the stage that scores the answers."""
    rows = [
        ("a", 0, "code_mine", task, k, f'def f(x):\n    """{task}"""\n', text, 10, -5.0 - k, 0.1, "stop")
        for task, texts in ANSWERS.items()
        for k, text in enumerate(texts)
    ]
    samples = tmp_path / "samples"
    samples.mkdir()
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(samples / "samples.parquet")
    scoring = CodeScoring(ks=(1, 2, 3), limits=SandboxLimits(workers=1))
    spec = CodeScoreSpec(arm="a", seed=0, domain="code_mine", suite=FileSuiteConfig(path=suite), scoring=scoring)
    job = make_job("scored")
    return job.output, score_programs(spec, CodeInputs(samples), job)


def test_the_stage_counts_what_it_could_not_judge(scored):
    folder, metrics = scored
    rows = pl.read_parquet(folder / "scores.parquet").sort("prompt_id", "sample_id")
    assert rows["passed"].to_list() == [True, False, True, None, None, None, True, None, False]
    assert rows.filter(pl.col("passed").is_null())["reason"].str.contains(REASON).all()
    assert metrics["code_mine/harness_errors"] == 4
    assert [metrics[f"code_mine/undefined_at_{k}"] for k in (1, 2, 3)] == [1, 1, 2]
    assert metrics["code_mine/pass_at_1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics["code_mine/pass_at_2"] == 1, "each of the two problems with two judged candidates has a right one"
    assert metrics["code_mine/distinct_passing_algorithms_at_1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics["code_mine/distinct_algorithms_at_1"] == 1, "needs no verdict"
    diversity = pl.read_parquet(folder / "diversity.parquet").sort("prompt_id")
    assert diversity["algorithms_passing"].to_list() == [1, None, None]
    assert diversity["ast_diversity"].null_count() == 0


def test_the_report_goes_on_and_says_what_is_missing_and_why(scored, tmp_path, make_job):
    spec = ReportSpec(arms=("a",), domain="code_mine", ks=(1, 2, 3), resamples=200)
    job = make_job("report")
    write_code_results(spec, {"a/0": scored[0]}, job)
    table = {row["metric"]: row for row in json.loads((job.output / "table.json").read_text())}
    found = {name: (table[name]["value"], table[name]["undefined"]) for name in ("pass_at_1", "pass_at_3")}
    assert found == {"pass_at_1": (pytest.approx((2 / 3 + 1 / 2) / 2), 1), "pass_at_3": (1, 2)}
    assert table["usq_logprob_at_3"]["undefined"] == 2
    for untouched in ("ast_diversity", "distinct_algorithms_at_3", "well_formed", "unique_share"):
        assert table[untouched]["undefined"] == 0, untouched
    (note,) = json.loads((job.output / NOTES).read_text())
    assert note.startswith("a/0: 4 candidates, of 2 prompts, without a verdict (harness error: ")
    assert REASON in note
    assert (job.output / "pass_at_k.pdf").exists(), "of the problem that is judged as a whole"


def invoke(*arguments):
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done


def test_score_says_the_same_of_completions_and_compare_reads_them(suite, tmp_path):
    rows = [{"task_id": task, "completion": text} for task, texts in ANSWERS.items() for text in texts]
    for name in ("ours", "theirs"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = [tmp_path / f"{name}.jsonl" for name in ("ours", "theirs")]
    printed = json.loads(invoke("score", *files, "--suite-file", suite, "--json", "--out", tmp_path / "out").stdout)
    found = {row["metric"]: row for row in printed["rows"] if row["arm"] == "ours"}
    assert (found["pass_at_1"]["value"], found["pass_at_1"]["undefined"]) == (pytest.approx((2 / 3 + 1 / 2) / 2), 1)
    assert (found["pass_at_3"]["value"], found["pass_at_3"]["undefined"]) == (1, 2)
    assert found["self_bleu"]["undefined"] == 0, "needs no verdict"
    (note,) = [note for note in printed["notes"] if note.startswith("arm ours") and "without a verdict" in note]
    assert "4 candidates, of 2 prompts" in note
    assert REASON in note
    again = json.loads(invoke("compare", tmp_path / "out" / "verdicts.jsonl", "--json").stdout)
    assert {item["metric"]: item["n"] for item in again["differences"]}["pass_at_1"] == 2


def test_a_column_that_is_half_there_for_no_such_reason_is_still_refused(tmp_path):
    rows = [
        {"task_id": "p", "completion": "x", "passed": True, "verdict": "passed"},
        {"task_id": "p", "completion": "y", "passed": None, "verdict": "failed"},
    ]
    path = tmp_path / "half.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = CliRunner().invoke(main, ["score", str(path)])
    assert (done.exit_code, "passed is missing here" in done.stderr) == (2, True)
