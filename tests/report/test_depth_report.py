"""Phase 2's report: the KL, proxy and gold of a run are those of its files."""

import json

import pytest

from polymlops.errors import ArtifactError
from polymlops.report.depth import read_path

HISTORY = [
    {"step": 5, "kl": 0.02, "completions/mean_length": 10.0, "reward": 1.0},
    {"step": 10, "kl": 0.05, "completions/mean_length": 20.0, "reward": 1.1},
]
POINTS = [{"step": 0, "reward": 1.0, "quality": 0.7}, {"step": 10, "reward": 1.3, "quality": 0.6}]


def adapter(folder, points=POINTS, history=HISTORY):
    folder.mkdir()
    (folder / "dynamics.json").write_text(json.dumps({"arm": "baseline_grpo", "seed": 3, "points": points}))
    (folder / "history.json").write_text(json.dumps(history))
    return folder


def test_kl_is_that_of_a_whole_reply_in_the_nearest_window(tmp_path):
    path = read_path("baseline_grpo/3", adapter(tmp_path / "a"))
    assert (path.arm, path.seed) == ("baseline_grpo", 3)
    assert path.kl_M == [0.0, 1.0]
    assert path.proxy_M == [1.0, 1.3]
    assert path.gold_M == [0.7, 0.6]


def test_a_run_without_dynamics_has_no_path(tmp_path):
    assert read_path("baseline_grpo/3", adapter(tmp_path / "a", points=[])) is None


def test_a_missing_file_is_named(tmp_path):
    (adapter(tmp_path / "a") / "history.json").unlink()
    with pytest.raises(ArtifactError, match=r"baseline_grpo/3 lacks history\.json"):
        read_path("baseline_grpo/3", tmp_path / "a")
