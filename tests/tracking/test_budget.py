"""What a roadmap has cost, what a stage should cost, and the stop between two stages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from polymlops.config.profiles import validate
from polymlops.config.sampling import SamplingConfig
from polymlops.config.schema import LoraConfig
from polymlops.config.slices import SampleSpec
from polymlops.errors import BudgetError, ConfigError
from polymlops.refs import ModelRef
from polymlops.tracking import ledger
from polymlops.tracking.budget import Budget, spent_dollars
from polymlops.tracking.environment import hardware
from polymlops.tracking.prices import Prices, judge_dollars, pool_of
from polymlops.tracking.rates import expectation

SECOND = Prices(gpu=7200, cpu=3600)  # one dollar a second, or two
BASE, OTHER = (ModelRef(run_id="r", uri="u", digest=digit * 64) for digit in "ab")


def with_budget(book, dollars):
    return book.context.model_copy(update={"budget": Budget(dollars=dollars, prices=SECOND)})


def sampling(book, seed=1, base=BASE, **changes):
    """A stage that is never done: how long would it take?"""
    spec = SampleSpec(arm="baseline", seed=seed, sampling=SamplingConfig(**changes))
    return replace(book.stage("sample_arm", spec, {"base": base}), name="sample_arm")


def measured(book, stage, seconds, experiment=None, **tags):
    """A finished run of a stage that took so long."""
    inputs = {f"input.{role}": f"{ref.run_id} {ref.digest}" for role, ref in stage.inputs.items()}
    about = {ledger.STAGE: stage.name, **stage.labels, **inputs, **tags}
    from polymlops.tracking.params import flatten

    run = ledger.begin_run(book.client, experiment or book.context.experiment_id, about, flatten(stage.spec))
    start = book.client.get_run(run).info.start_time
    book.client.set_terminated(run, "FINISHED", end_time=start + int(1000 * seconds))
    return run


def test_pools_have_prices_of_their_own_and_judges_are_paid(book):
    parent = {ledger.PARENT: book.context.parent_run_id}
    measured(book, sampling(book), 3, **parent)
    judged = measured(book, replace(book.stage("x"), name="score_texts"), 2, **parent)
    told = {"creative/judge/dollars": 0.5, "creative/second_judge/dollars": 0.25, "creative/judge/calls": 9.0}
    ledger.log_metrics(book.client, judged, told)
    abandoned = measured(book, sampling(book), 1000, **parent)
    ledger.set_tags(book.client, abandoned, {ledger.SUPERSEDED_BY: judged})
    measured(book, sampling(book), 1000)  # of another roadmap
    spent = spent_dollars(book.client, book.context.experiment_id, book.context.parent_run_id, SECOND)
    assert spent == pytest.approx(3 * 2 + 2 + 0.75)
    assert judge_dollars(book.run(judged)) == 0.75
    assert (pool_of("take_base_model"), pool_of("prepare_dataset")) == ("gpu", "cpu")


def test_prices_of_a_config_and_of_the_run_that_was_told_it():
    from polymlops.tracking.params import flatten

    config = validate({"tracking": {"price_per_hour": 2, "pool_prices": {"gpu": 5}}})
    assert Prices.of(config.tracking) == Prices(gpu=5, cpu=2)
    assert Prices.of_params({name: str(value) for name, value in flatten(config).items()}) == Prices(gpu=5, cpu=2)


def test_it_stops_between_stages_and_a_higher_budget_goes_on(book):
    poor = with_budget(book, 1e-6)
    first = poor.run(book.stage("first"))  # nobody knows what it costs, and there is money
    with pytest.raises(
        BudgetError, match=r"budget of \$1e-06 .*is spent in this roadmap.*raise execution\.budget_dollars"
    ):
        poor.run(book.stage("second"))
    assert book.calls == ["first"]
    assert poor.run(book.stage("first")).cached  # what is done costs nothing
    rich = with_budget(book, 1e6)
    assert rich.run(book.stage("first")).ref == first.ref
    rich.run(book.stage("second"))
    assert book.calls == ["first", "second"]


def test_what_a_stage_should_cost_counts_before_it_begins(book):
    measured(book, book.stage("train", LoraConfig(r=2)), 100)
    with pytest.raises(BudgetError, match=r"\$0 is spent.*train is expected to cost \$100 \(from other settings\)"):
        with_budget(book, 99).run(book.stage("train"))
    with_budget(book, 101).run(book.stage("train"))


def expected(book, stage, experiment="here"):
    found = expectation(book.client, book.context.experiment_id if experiment == "here" else None, stage)
    return None if found is None else (found.basis, pytest.approx(found.seconds))


def test_the_closest_measurement_is_taken(book):
    assert expected(book, sampling(book)) is None
    measured(book, sampling(book, temperature=0.2), 40)
    assert expected(book, sampling(book)) == ("other settings", 40)
    measured(book, sampling(book, n=5), 10)
    assert expected(book, sampling(book, n=20)) == ("scaled", 40)
    assert expected(book, sampling(book, n=5, seed=2)) == ("the same settings", 10)
    assert expected(book, sampling(book, n=5, base=OTHER))[0] == "other settings"


def test_another_experiment_tells_only_about_the_same_work_on_such_a_machine(book):
    there = book.client.create_experiment("there")
    parent = ledger.begin_run(book.client, there, hardware(), {})
    measured(book, sampling(book), 25, there, **{ledger.PARENT: parent})
    assert expected(book, sampling(book)) == ("the same settings elsewhere", 25)
    assert expected(book, sampling(book, n=20)) == ("scaled", 50)
    assert expected(book, sampling(book, temperature=0.2)) is None
    assert expected(book, sampling(book, base=OTHER)) is None
    ledger.set_tags(book.client, parent, {"hardware.cores": "4096"})
    assert expected(book, sampling(book)) is None


def test_a_budget_without_a_price_would_never_end_anything():
    with pytest.raises(ConfigError, match="nothing has a price"):
        validate({"execution": {"budget_dollars": 5}})
    validate({"execution": {"budget_dollars": 5}, "tracking": {"pool_prices": {"gpu": 3}}})
