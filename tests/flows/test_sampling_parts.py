"""Which sampling stages run, and under which keys, where an arm's sampling is split."""

from __future__ import annotations

from flows.calls import Planned
from flows.sampling import drawn
from polymlops.config.profiles import load_config
from polymlops.config.slices import sample_spec
from polymlops.refs import DatasetRef, ModelRef
from polymlops.tracking.plans import PlanContext
from polymlops.tracking.prices import Prices
from polymlops.tracking.stage import Outcome
from tasks.arms import sample_arm

BASE = ModelRef(run_id="r", uri="u", digest="b")
DATA = DatasetRef(run_id="r", uri="u", digest="d")
SPEC = sample_spec(load_config("smoke", []), "zero_shot", 0)


class Ledger(PlanContext):
    """Knows the stages with these titles."""

    def __init__(self, *titles):
        super().__init__(None, None, Prices(gpu=0, cpu=0))
        self.titles, self.asked = titles, {}

    def find(self, stage):
        ref = stage.result(run_id="x", uri="x", digest="x")
        return Outcome(ref, cached=True, seconds=1.0) if stage.title in self.titles else None

    def run(self, stage):
        self.asked[stage.title] = stage.key()
        return super().run(stage)


def test_parts_are_planned_before_the_whole_which_keeps_its_key():
    alone, split = Ledger(), Ledger()
    drawn(Planned(alone), 1, sample_arm, SPEC, BASE, None, DATA)
    drawn(Planned(split), 2, sample_arm, SPEC, BASE, None, DATA)
    name = "sample_arm zero_shot/0"
    assert list(alone.asked) == [name]
    assert list(split.asked) == [f"{name} part 1 of 2", f"{name} part 2 of 2", name]
    assert split.asked[name] == alone.asked[name]
    assert len(set(split.asked.values())) == 3


def test_no_part_is_drawn_where_the_whole_is_there():
    ledger = Ledger("sample_arm zero_shot/0")
    drawn(Planned(ledger), 2, sample_arm, SPEC, BASE, None, DATA)
    assert list(ledger.asked) == ["sample_arm zero_shot/0"]
