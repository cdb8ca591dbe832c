"""Shards on a real Dask cluster of worker processes: one killed in the middle, and the stage itself killed."""

from __future__ import annotations

import signal
import sys

import polars as pl
import pytest

from polymlops.config.slices import ScoreSpec
from polymlops.data.prompts import prompts_of
from polymlops.evaluation.social import SocialInputs, score_samples
from polymlops.generation.sampling import SCHEMA

pytest.importorskip("prefect_dask", reason="prefect-dask is not installed (extra scale)")
pytestmark = pytest.mark.slow

SCRIPT = """
import json, os, shutil, signal, sys, threading, time
from pathlib import Path
from flows.services import services
from polymlops.config.profiles import load_config

GIVEN = {"samples": sys.argv[2], "dataset": sys.argv[3], "base": sys.argv[4]}


def kill_a_worker(cluster, killed):
    scheduler = cluster.scheduler
    while scheduler.transition_counter == 0 or not any(task.state == "memory" for task in scheduler.tasks.values()):
        time.sleep(0.01)
    while not killed:
        for worker in list(scheduler.workers.values()):
            if worker.processing and not killed:
                pids = {nanny.worker_address: nanny.pid for nanny in cluster.workers.values()}
                killed.append(pids[worker.address])
                os.kill(killed[0], signal.SIGKILL)
        time.sleep(0.001)


def die_after(folder, shards):
    while len([path for path in folder.glob("work/*/scratch/shard-*") if path.suffix != ".part"]) < shards:
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGKILL)


def main():
    how, killed, cluster = sys.argv[5], [], None
    os.environ["PREFECT_HOME"] = sys.argv[1] + "/prefect"  # of the workers, too, which start before the services
    workers = ["execution.workers.engine=dask", "execution.workers.shard_prompts=20"]
    if how == "worker":
        from distributed import LocalCluster

        cluster = LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)
        workers.append(f"execution.workers.address={cluster.scheduler_address}")
        threading.Thread(target=kill_a_worker, args=(cluster, killed), daemon=True).start()
    config = load_config("smoke", ["output_dir=" + sys.argv[1], *workers])
    if how == "stage":
        threading.Thread(target=die_after, args=(Path(sys.argv[1]), 2), daemon=True).start()
    with services(config) as prefect:
        import logging

        from prefect import flow
        from flows.execution import InProcess, tracked
        from polymlops.config.schema import LoraConfig
        from polymlops.config.slices import ScoreSpec
        from polymlops.refs import DatasetRef, ModelRef, SampleSetRef
        from polymlops.tracking.stage import Stage
        from tasks.arms import ScoreSources, score_samples
        from tasks.stage_task import stage_task

        logging.getLogger("polymlops").addHandler(logging.StreamHandler(sys.stderr))

        @stage_task("given")
        def given(runner, role, kind):
            def work(inputs, job):
                shutil.copytree(GIVEN[role], job.output, dirs_exist_ok=True)
                return {}

            return runner.run(Stage(role, LoraConfig(), kind, work))

        @flow
        def experiment():
            with tracked(config, None) as run:
                call = InProcess(run, 0)
                refs = [call(given, *each) for each in
                        (("samples", SampleSetRef), ("dataset", DatasetRef), ("base", ModelRef))]
                spec = ScoreSpec(arm="baseline", seed=42, ks=(1, 3))
                scores = call(score_samples, spec, ScoreSources(*refs))
                return str(run.fetch(scores))

        folder = prefect.settled(experiment(return_state=True))
    print(json.dumps({"folder": folder, "killed": len(killed)}))
    if cluster is not None:
        cluster.close()


if __name__ == "__main__":
    main()
"""


@pytest.fixture
def samples(small_dataset, tmp_path):
    """Three texts for each of 90 posts."""
    folder = tmp_path / "samples"
    folder.mkdir()
    posts = [post for split in ("train_sft", "test", "reward") for post in prompts_of(small_dataset, split, 1000, 0)]
    rows = [
        ("baseline", 42, "social", post.prompt_id, i, post.text, f"{post.text} {i * number}", 9, -5.0, 1.0, "stop")
        for number, post in enumerate(posts[:90])
        for i in range(3)
    ]
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(folder / "samples.parquet")
    return folder


@pytest.fixture
def undisturbed(samples, small_dataset, small_base, make_job):
    """The files that one process makes of them."""
    job = make_job("undisturbed")
    score_samples(ScoreSpec(arm="baseline", seed=42, ks=(1, 3)), SocialInputs(samples, small_dataset, small_base), job)
    return {path.name: path.read_bytes() for path in job.output.iterdir()}


@pytest.fixture
def start(shell, samples, small_dataset, small_base, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    places = [str(path) for path in (tmp_path / "out", samples, small_dataset, small_base)]
    return lambda how: shell.start(sys.executable, str(script), *places, how)


def made(started) -> dict[str, bytes]:
    import json
    from pathlib import Path

    folder = Path(json.loads(started.out.splitlines()[-1])["folder"])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.long
def test_the_shard_of_a_killed_worker_is_redone_and_nothing_is_doubled(start, undisturbed):
    started = start("worker")
    assert started.wait() == 0, started.err
    assert '"killed": 1' in started.out
    assert made(started) == undisturbed


@pytest.mark.long
def test_shards_that_were_done_before_the_stage_was_killed_are_not_done_again(start, undisturbed):
    killed = start("stage")
    assert killed.wait() == -signal.SIGKILL, killed.err
    again = start("again")
    assert again.wait() == 0, again.err
    assert " of 5 shards were done before" in again.err
    assert made(again) == undisturbed
