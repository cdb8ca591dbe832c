"""A plan tells what would run, and changes nothing."""

import pytest

from polymlops.config.profiles import validate
from polymlops.config.schema import LoraConfig
from polymlops.tracking.plans import PlanContext, plan_context
from polymlops.tracking.prices import Prices

FREE = Prices(gpu=0, cpu=0)


def test_nothing_is_created_where_there_is_nothing(tmp_path):
    config = validate({"name": "test", "output_dir": str(tmp_path / "out")})
    assert plan_context(config) == PlanContext(None, None, FREE)
    assert list(tmp_path.iterdir()) == []


def test_cached_stage_is_answered_and_what_follows_a_miss_is_to_run(book):
    base = book.context.run(book.stage("base")).ref
    book.context.run(book.stage(inputs={"base": base}))
    plan = PlanContext(book.client, book.context.experiment_id, FREE)
    known = plan.run(book.stage("base")).ref
    assert known == base
    plan.run(book.stage(inputs={"base": known}))
    new = plan.run(book.stage("base", LoraConfig(r=2))).ref
    plan.run(book.stage(inputs={"base": new}))
    plan.run(book.stage("never before"))
    assert [(stage.title, stage.cached) for stage in plan.stages] == [
        ("base", True),
        ("train", True),
        ("base", False),
        ("train", False),
        ("never before", False),
    ]
    assert plan.stages[2].seconds is not None
    assert plan.stages[4].seconds is None
    assert book.calls == ["base", "train"]


def test_damaged_artifact_is_to_run_and_not_marked(book):
    ref = book.context.run(book.stage()).ref
    (book.stored(ref) / "manifest.json").unlink()
    plan = PlanContext(book.client, book.context.experiment_id, FREE)
    plan.run(book.stage())
    assert [stage.cached for stage in plan.stages] == [False]
    assert "invalid" not in book.run(ref.run_id).data.tags


def test_an_older_whole_artifact_stands_in_for_a_damaged_newer_one(book):
    first = book.context.run(book.stage()).ref
    book.client.set_tag(first.run_id, "invalid", "for a moment")
    (book.stored(first) / "manifest.json").rename(book.stored(first) / "aside")
    second = book.context.run(book.stage()).ref
    book.client.delete_tag(first.run_id, "invalid")
    (book.stored(first) / "aside").rename(book.stored(first) / "manifest.json")
    assert PlanContext(book.client, book.context.experiment_id, FREE).run(book.stage()).ref == second
    (book.stored(second) / "manifest.json").unlink()
    assert PlanContext(book.client, book.context.experiment_id, FREE).run(book.stage()).ref == first


def test_what_another_experiment_has_is_found(book):
    first = book.context.run(book.stage()).ref
    other = book.client.create_experiment("other")
    for experiment in (other, None):
        assert PlanContext(book.client, experiment, FREE).run(book.stage()).ref == first


def test_what_is_to_run_has_a_price_where_it_has_a_time(book):
    book.context.run(book.stage("train"))
    plan = PlanContext(book.client, book.context.experiment_id, Prices(gpu=0, cpu=3600))
    for stage in (book.stage("train"), book.stage("train", LoraConfig(r=2)), book.stage("never before")):
        plan.run(stage)
    cached, similar, unknown = plan.stages
    assert similar.seconds == cached.seconds > 0
    assert cached.dollars == similar.dollars == pytest.approx(cached.seconds)  # a dollar a second
    assert (cached.basis, similar.basis) == (None, "other settings")
    assert (unknown.seconds, unknown.dollars, unknown.basis) == (None, None, None)
