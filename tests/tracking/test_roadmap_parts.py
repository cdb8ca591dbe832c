"""A roadmap read back: by its run, by a run below it, by its experiment; and what is no roadmap."""

import math

import pytest
import yaml

from polymlops.config.profiles import validate
from polymlops.errors import InputError, TrackingError
from polymlops.refs import DatasetRef, ReportRef
from polymlops.tracking import ledger
from polymlops.tracking.addresses import local_folder
from polymlops.tracking.pages import log_page
from polymlops.tracking.roadmap_parts import listed_phases, read_roadmap
from polymlops.tracking.roadmaps import log_results, roadmap_run
from polymlops.tracking.store import open_store

GONE = "e" * 32


@pytest.fixture
def config(tmp_path, migrated):
    (tmp_path / "mlflow.db").write_bytes(migrated.read_bytes())
    return validate({"name": "test", "output_dir": str(tmp_path), "tracking": {"price_per_hour": 3600}})


@pytest.fixture
def finished(config):
    """A roadmap with one stage, whose result two phases list, and one result of a run that is gone."""
    with roadmap_run(config, "source") as context:
        client = open_store(context.tracking_uri)
        tags = {ledger.PARENT: context.parent_run_id, ledger.RUN_NAME: "prepare_dataset"}
        stage = ledger.begin_run(client, context.experiment_id, tags, {})
        ledger.end_run(client, stage, "FINISHED")
        dataset = DatasetRef(run_id=stage, uri="file:///x", digest="d" * 64)
        report = ReportRef(run_id=GONE, uri="file:///y", digest="r" * 64)
        log_results(context, "novel-metrics", {"dataset": dataset, "novel/social": report}, dataset)
        log_results(context, "core-results", {"dataset": dataset}, dataset)
        return context, client, stage


def test_phases_are_in_their_order_whatever_was_written_first(finished):
    context, client, _ = finished
    phases = listed_phases(client, context.parent_run_id)
    assert list(phases) == ["core-results", "novel-metrics"]
    assert isinstance(phases["novel-metrics"]["novel/social"], ReportRef)


def test_a_roadmap_has_its_config_and_every_run_behind_a_result(finished, config):
    context, client, stage = finished
    roadmap = read_roadmap(client, context.parent_run_id)
    assert validate(yaml.safe_load(roadmap.config)) == config
    assert [run.run_id for run in roadmap.runs] == [context.parent_run_id, stage, GONE]
    parent, made, gone = roadmap.runs
    assert math.isnan(parent.seconds)  # its time is that of its stages
    assert made.title == "prepare_dataset"
    assert made.seconds == ledger.run_seconds(client.get_run(stage))
    assert made.dollars == pytest.approx(made.seconds)  # a dollar a second
    assert math.isnan(gone.seconds)
    assert "gone" in gone.title


def test_it_is_found_by_a_run_below_it_and_by_its_experiment(finished):
    context, client, stage = finished
    for named in (stage, "test"):
        assert read_roadmap(client, named).run_id == context.parent_run_id


def test_the_newest_roadmap_of_an_experiment_is_meant(finished, config):
    _, client, _ = finished
    with roadmap_run(config, "newer source") as newer:
        pass
    assert read_roadmap(client, "test").run_id == newer.parent_run_id


@pytest.mark.parametrize("named", ["0" * 32, "nowhere"])
def test_what_is_not_there_is_refused(finished, named):
    with pytest.raises(InputError, match=named):
        read_roadmap(finished[1], named)


def test_what_is_no_roadmap_is_refused(finished):
    context, client, _ = finished
    alone = ledger.begin_run(client, context.experiment_id, {ledger.RUN_NAME: "alone"}, {})
    with pytest.raises(InputError, match="no roadmap's run"):
        read_roadmap(client, alone)
    client.create_experiment("empty")
    with pytest.raises(InputError, match="no roadmap yet"):
        read_roadmap(client, "empty")


def test_a_damaged_listing_is_named(finished):
    context, client, _ = finished
    client.log_text(context.parent_run_id, "{", "stages/core-results.json")
    with pytest.raises(TrackingError, match=r"core-results\.json"):
        read_roadmap(client, "test")


def test_a_page_takes_the_place_of_the_one_before(finished, tmp_path):
    context, client, _ = finished
    page = tmp_path / "report.html"
    for text in ("first", "second"):
        page.write_text(text)
        path = log_page(client, context.parent_run_id, page)
    kept = local_folder(client.get_run(context.parent_run_id).info.artifact_uri) / path
    assert kept.read_text() == "second"
