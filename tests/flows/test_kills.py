"""SIGKILL in the middle of training and of sampling: the next run goes on there, and nothing in the result shows it."""

import signal
import sqlite3
from contextlib import closing

import pytest
from ledgers import artifact, finished_runs, parent_runs, stage_runs
from processes import PROFILE, Shell, are_gone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TRAINING, ARM = "train_adapter polychromic/42", "polychromic/42"


def _under_way(output_dir):
    """Title of the stage that runs now."""
    running = [title for title, _, status in stage_runs(output_dir) if status == "RUNNING"]
    return running[-1] if running else ""


def _has_checkpoint(output_dir):
    return _under_way(output_dir) == TRAINING and any(output_dir.glob("work/*/scratch/checkpoints/*/COMPLETE"))


def _losses(output_dir, run_id):
    query = "select step, key, value from metrics where run_uuid = ? and key like 'train/%' order by key, step"
    with sqlite3.connect(output_dir / "mlflow.db") as database:
        return database.execute(query, [run_id]).fetchall()


@pytest.fixture(scope="module")
def killed(tmp_path_factory, smoke):
    """An output folder after a kill in training, a kill in sampling, and a run to the end; with what was done when."""
    folder = tmp_path_factory.mktemp("killed")
    with closing(Shell(folder / "shell")) as shell:
        output_dir = folder / "out"
        command = ["run", PROFILE, "--set", f"output_dir={output_dir}"]
        first = shell.polymlops(*command)
        first.wait_for(lambda: _has_checkpoint(output_dir))
        children = first.children
        assert first.kill() == -signal.SIGKILL
        assert children
        assert are_gone(children)
        after_training = finished_runs(output_dir)
        second = shell.polymlops(*command)
        second.wait_for(lambda: any(output_dir.glob("work/*/scratch/shard-*.parquet")))
        assert second.kill() == -signal.SIGKILL
        after_sampling = finished_runs(output_dir)
        code, third = shell.run(*command)
        assert code == 0, third.err
        return output_dir, after_training, after_sampling


def test_kills_hit_training_and_sampling(killed):
    output_dir, after_training, after_sampling = killed
    assert set(after_training) == {"prepare_dataset", "build_base_model", "train_adapter baseline/42"}
    assert TRAINING in after_sampling
    ended = [title for title, _, status in stage_runs(output_dir) if status == "KILLED"]
    assert ended[0] == TRAINING
    assert ended[1].startswith("sample_arm")
    assert len(ended) == 2


def test_finished_stages_did_not_run_again(killed, smoke):
    output_dir, after_training, after_sampling = killed
    finished, undisturbed = finished_runs(output_dir), finished_runs(smoke.output_dir)
    assert {title: len(runs) for title, runs in finished.items()} == {t: len(runs) for t, runs in undisturbed.items()}
    for earlier, later in ((after_training, after_sampling), (after_sampling, finished)):
        assert {title: later[title][: len(runs)] for title, runs in earlier.items()} == earlier


def test_training_went_on_from_its_checkpoint_with_every_step_once(killed, smoke):
    output_dir, *_ = killed
    histories = [_losses(folder, finished_runs(folder)[TRAINING][0]) for folder in (output_dir, smoke.output_dir)]
    assert histories[0] == histories[1]
    assert len(histories[0]) > 1


def test_adapters_and_sample_sets_equal_the_undisturbed(killed, smoke):
    output_dir, *_ = killed
    ours, theirs = finished_runs(output_dir), finished_runs(smoke.output_dir)
    assert set(ours) == set(theirs)
    for title in ours:
        if title.startswith(("prepare", "build", "train", "sample", "score")):
            assert artifact(output_dir, ours[title][0]) == artifact(smoke.output_dir, theirs[title][0]), title
        if title.startswith("measure"):
            pair = [
                artifact(folder, runs[title][0]) for folder, runs in ((output_dir, ours), (smoke.output_dir, theirs))
            ]
            assert pair[0]["novel_metrics.json"] == pair[1]["novel_metrics.json"]


def test_one_parent_run_for_all_attempts(killed):
    output_dir, *_ = killed
    assert [status for _, _, status in parent_runs(output_dir)] == ["FINISHED"]
    assert list((output_dir / "work").iterdir()) == []
