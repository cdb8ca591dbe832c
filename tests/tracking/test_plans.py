"""A plan tells what would run, and changes nothing."""

from polymlops.config.profiles import validate
from polymlops.config.schema import LoraConfig
from polymlops.tracking.plans import PlanContext, plan_context


def test_nothing_is_created_where_there_is_nothing(tmp_path):
    config = validate({"name": "test", "output_dir": str(tmp_path / "out")})
    assert plan_context(config) == PlanContext(None, None)
    assert list(tmp_path.iterdir()) == []


def test_cached_stage_is_answered_and_what_follows_a_miss_is_to_run(book):
    base = book.context.run(book.stage("base")).ref
    book.context.run(book.stage(inputs={"base": base}))
    plan = PlanContext(book.client, book.context.experiment_id)
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
    plan = PlanContext(book.client, book.context.experiment_id)
    plan.run(book.stage())
    assert [stage.cached for stage in plan.stages] == [False]
    assert "invalid" not in book.run(ref.run_id).data.tags
