"""Scores in the tracking store: logged, found again, and refused where a run holds none."""

import json

import polars as pl
import pytest

from polymlops.errors import ArtifactError, InputError, TrackingError
from polymlops.tracking.ledger import PARENT, begin_run, end_run
from polymlops.tracking.scored_runs import ScoredCandidates, fetch_scores, log_scores

METRICS = {"x": {"pass_at_1": 0.5, "usq_a=b_at_2": 0.25}, "y": {"pass_at_1": 0.75}}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "scores"
    path.mkdir()
    pl.DataFrame({"arm": ["x", "y"], "prompt_id": "p"}).write_parquet(path / "scores.parquet")
    return path


def scored(metrics):
    return ScoredCandidates("score a.jsonl", "mine", {"ks": [1, 2], "file.0.sha256": "abc"}, metrics)


def test_several_arms_are_runs_below_one(book, folder):
    run_id = log_scores(book.client, book.context.experiment_id, scored(METRICS), folder)
    run = book.run(run_id)
    assert (run.info.status, run.data.params["ks"], run.data.tags["domain"]) == ("FINISHED", "[1, 2]", "mine")
    children = book.client.search_runs([book.context.experiment_id], f"tags.`{PARENT}` = '{run_id}'")
    assert {child.data.tags["arm"]: child.data.metrics for child in children} == {
        "x": {"mine/pass_at_1": 0.5, "mine/usq_a_b_at_2": 0.25},
        "y": {"mine/pass_at_1": 0.75},
    }
    whole = fetch_scores(book.client, run_id, book.context.cache)
    assert (whole.name, whole.arm) == ("score a.jsonl", None)
    assert [path.name for path in whole.folders[0].iterdir()] == ["scores.parquet"]
    child = next(child for child in children if child.data.tags["arm"] == "y")
    found = fetch_scores(book.client, child.info.run_id, book.context.cache)
    assert (found.folders, found.arm) == (whole.folders, "y")


def test_one_arm_is_one_run(book, folder):
    run_id = log_scores(book.client, book.context.experiment_id, scored({"y": METRICS["y"]}), folder)
    run = book.run(run_id)
    assert run.data.metrics == {"mine/pass_at_1": 0.75}
    assert run.data.tags["arm"] == "y"
    assert fetch_scores(book.client, run_id, book.context.cache).arm is None


def test_a_run_that_cannot_be_logged_is_failed(book, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError):
        log_scores(book.client, book.context.experiment_id, scored(METRICS), tmp_path / "empty")
    (run,) = book.client.search_runs([book.context.experiment_id], "tags.stage = 'score_candidates'")
    assert run.info.status == "FAILED"


def test_a_roadmap_gives_the_scores_of_its_stages(book, folder):
    inner = log_scores(book.client, book.context.experiment_id, scored(METRICS), folder)
    digest = book.run(inner).data.tags["digest"]
    ref = {"run_id": inner, "uri": f"{book.run(inner).info.artifact_uri}/output", "digest": digest}
    listing = {"scores/x/1": ref | {"kind": "scores"}, "base": ref | {"kind": "model"}}
    book.client.log_dict(book.context.parent_run_id, listing, "stages/core-results.json")
    found = fetch_scores(book.client, book.context.parent_run_id, book.context.cache)
    assert [(path / "scores.parquet").is_file() for path in found.folders] == [True]


def test_runs_without_scores_are_refused(book):
    with pytest.raises(InputError, match="neither a file nor a run of this tracking store"):
        fetch_scores(book.client, "0" * 32, book.context.cache)
    bare = begin_run(book.client, book.context.experiment_id, {}, {})
    end_run(book.client, bare, "FINISHED")
    with pytest.raises(InputError, match=f"run {bare} holds no scores"):
        fetch_scores(book.client, bare, book.context.cache)
    book.client.log_text(bare, json.dumps({"scores/x/1": {"kind": "nonsense"}}), "stages/a-phase.json")
    with pytest.raises(TrackingError, match=f"stages/a-phase.json of run {bare} cannot be read"):
        fetch_scores(book.client, bare, book.context.cache)
