"""Scoring on 1 and 2 Dask workers: `python benchmarks/scaling.py [--prompts 2000] [--candidates 20] [--write]`.

Replies of the world to its posts, scored by the stage's own shards through Prefect and prefect-dask, as a roadmap does
it; first the tables of every number of workers are found equal to those of one process, then they take turns. Workers
are started before the clock. Then what one stage asks of an MLflow server, what a local server serves, and how many
machines that is enough for. Nothing is written to RESULTS.md without `--write`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from side_by_side import machine, write_section

from flows.children import LOOPBACK, free_port, wait_until_answers
from flows.services import services
from polymlops.config.base_models import EmbeddedModelConfig
from polymlops.config.execution import WorkersConfig
from polymlops.config.profiles import load_config
from polymlops.config.schema import DataConfig, LoraConfig, WorldSource
from polymlops.config.suites import WorldSuiteConfig
from polymlops.generation.sampling import SCHEMA
from polymlops.records import Job

WORKERS, SHARDS, MACHINES = (1, 2), 10, 10
BASE = EmbeddedModelConfig(
    hidden=32, layers=2, heads=2, vocabulary=600, documents=600, steps=2, batch=4, min_well_formed=0,
    program_pass_range=(0, 1),
)  # fmt: skip


@dataclass(frozen=True)
class Load:
    """What one stage asked of the tracking server."""

    seconds: float
    requests: int
    megabytes: float


def main() -> None:
    """Make the sample sets, check, time, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--problems", type=int, default=50)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put the result into RESULTS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = list(measured(options, Path(folder)))
    print("\n".join(lines))
    if options.write:
        write_section("scaling", ["## Scaling", "", f"{machine()}, {os.cpu_count()} cores.", "", *lines])


def measured(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Lines of the tables."""
    folders = materials(folder, options)
    with mlflow_server(folder) as uri:
        config = load_config("smoke", [f"output_dir={folder / 'out'}", f"tracking.uri={uri}"])
        with services(config) as prefect:
            from prefect import flow

            @flow
            def experiment() -> dict[str, Any]:
                return rounds(config, folders, options)

            times = prefect.settled(experiment(return_state=True))
        yield f"{options.prompts:,} prompts and {options.problems:,} problems x {options.candidates} candidates;"
        yield f"medians of {options.rounds} interleaved rounds; all tables equal to those of one process."
        yield from ("", "| stage | workers | s | candidates/s | speed-up |", "|---|---:|---:|---:|---:|")
        sizes = {"score_samples": options.prompts, "score_programs": options.problems}
        for stage, by_workers in times["seconds"].items():
            first = statistics.median(by_workers[WORKERS[0]])
            for workers, taken in by_workers.items():
                median = statistics.median(taken)
                rate = sizes[stage] * options.candidates / median
                yield f"| {stage} | {workers} | {median:.2f} | {rate:,.0f} | {first / median:.2f} |"
        yield from ("", *extrapolated(times["load"], serving(uri)))


def rounds(config: Any, folders: dict[str, Path], options: argparse.Namespace) -> dict[str, Any]:
    """Seconds by stage and workers, and the load of one stage; inside a flow, since shards are its task runs."""
    from distributed import LocalCluster

    from flows.execution import tracked
    from polymlops.evaluation.coding import CodeShards
    from polymlops.evaluation.shards import Sharing, cut, gathered, one_by_one
    from polymlops.evaluation.social import SocialShards
    from polymlops.refs import Reference
    from polymlops.tracking.stage import Stage
    from tasks.arms import social_inputs
    from tasks.coding import code_inputs
    from tasks.fan_out import DaskShare

    with tracked(config, None) as run, counted() as asked:
        begin, refs = time.perf_counter(), {}
        for role, folder in folders.items():
            stage = Stage(role, LoraConfig(), Reference, lambda _, job, folder=folder: copied(folder, job))
            refs[role] = run.run(replace(stage, name=f"{role}-given")).ref
        load = Load(
            (time.perf_counter() - begin) / len(folders), asked[0] // len(folders), asked[1] / 1e6 / len(folders)
        )
        code = code_spec(options.problems)
        works = {
            "score_samples": (SocialShards(), social_inputs, {"samples": refs["samples"], "dataset": refs["dataset"],
                                                              "base": refs["base"]}),
            "score_programs": (CodeShards(code), code_inputs, {"samples": refs["programs"]}),
        }  # fmt: skip
        clusters = {
            count: LocalCluster(n_workers=count, threads_per_worker=1, host=LOOPBACK, dashboard_address=None)
            for count in WORKERS
        }
        seconds: dict[str, dict[int, list[float]]] = {name: {count: [] for count in WORKERS} for name in works}
        for name, (work, inputs_of, inputs) in works.items():
            given = inputs_of({role: run.fetch(ref) for role, ref in inputs.items()})
            frame = pl.read_parquet(given.samples / "samples.parquet")
            size = -(-frame["prompt_id"].n_unique() // SHARDS // 20) * 20
            with tempfile.TemporaryDirectory() as scratch:
                expected = gathered(work, given, frame, Sharing(one_by_one, size), scratch_job(scratch))
            for turn in range(options.rounds + 1):  # the first one fetches and imports, and is checked
                for count, cluster in clusters.items():
                    settings = WorkersConfig(engine="dask", address=cluster.scheduler_address)
                    share = DaskShare(run.model_copy(update={"workers": settings}), inputs, inputs_of)
                    with tempfile.TemporaryDirectory() as scratch:
                        start = time.perf_counter()
                        found = gathered(work, given, frame, Sharing(share, size), scratch_job(scratch))
                        if turn:
                            seconds[name][count].append(time.perf_counter() - start)
                    check(expected, found)
            assert len(cut(frame, size)) > 1, "give more prompts: one shard shows nothing"
        for cluster in clusters.values():
            cluster.close()
        return {"seconds": seconds, "load": load}


def check(expected: Any, found: Any) -> None:
    """Equal but for the clock."""
    for name, table in expected.items():
        left, right = (each.select(c for c in each.columns if c != "cpu_seconds") for each in (table, found[name]))
        assert left.equals(right), f"{name}: workers disagree with one process"


def copied(folder: Path, job: Job) -> dict[str, float]:
    """A stage that gives a folder."""
    shutil.copytree(folder, job.output, dirs_exist_ok=True)
    return {}


def materials(folder: Path, options: argparse.Namespace) -> dict[str, Path]:
    """Folders of the dataset, the base model, and the sample sets."""
    from polymlops.data.preparation import prepare_dataset
    from polymlops.training.pretraining import build_base_model

    made = {role: folder / role / "output" for role in ("dataset", "base", "samples", "programs")}
    for path in made.values():
        path.mkdir(parents=True)
    posts = max(160, int(1.1 * options.prompts))
    prepare_dataset(DataConfig(source=WorldSource(posts=posts, replies_per_post=1)), job_of(made["dataset"]))
    build_base_model(BASE, made["dataset"], job_of(made["base"]))
    social_samples(made["dataset"], options).write_parquet(made["samples"] / "samples.parquet")
    program_samples(options).write_parquet(made["programs"] / "samples.parquet")
    return made


def scratch_job(folder: str) -> Job:
    """A job of which nothing is kept."""
    return Job(Path(folder), Path(folder), lambda metrics, step: None)


def job_of(output: Path) -> Job:
    """A stage's job beside its output."""
    scratch = output.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return Job(output, scratch, lambda metrics, step: None)


def social_samples(dataset: Path, options: argparse.Namespace) -> pl.DataFrame:
    """Replies of the world, drawn around each post."""
    from polymlops.data.splits import SPLITS
    from polymlops.data.truth import load_truth
    from polymlops.data.world import INTENTS, ParsedReply, render_reply
    from polymlops.data.world_language import REGISTER_OF_TONE

    rng, truth = np.random.default_rng(0), load_truth(dataset)
    names = [pl.read_parquet(dataset / f"{split}.parquet", columns=["post_id", "post"]) for split in SPLITS]
    posts = pl.concat(names).unique("post_id", maintain_order=True).head(options.prompts)
    rows = []
    for post_id, text in posts.iter_rows():
        post = truth.posts[post_id]
        for i in range(options.candidates):
            reply = ParsedReply(str(rng.choice(INTENTS)), post.topic, post.item, REGISTER_OF_TONE[post.tone])
            answer = render_reply(reply, rng)
            rows.append(("baseline", 42, "social", post_id, i, text, answer, 9, -5.0, 1.0, "stop"))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def program_samples(options: argparse.Namespace) -> pl.DataFrame:
    """The right solution of a problem and other ones, a comment apart so that no two texts are the same."""
    from polymlops.data.suites import load_suite

    problems = load_suite(WorldSuiteConfig(count=options.problems)).problems
    rows = [
        ("a", 0, "code_world", p.task_id, i, p.prompt, f"    # {i}\n{text}", 9, -5.0, 1.0, "stop")
        for p in problems
        for i in range(options.candidates)
        for text in [p.canonical_solution if i % 2 else "    return object()\n"]
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def code_spec(problems: int) -> Any:
    """How the programs are scored: one sandbox worker a process, so that processes are what is compared."""
    from polymlops.config.code_slices import CodeScoreSpec
    from polymlops.config.coding import CodeScoring
    from polymlops.config.sandbox import SandboxLimits

    scoring = CodeScoring(ks=(1,), limits=SandboxLimits(workers=1))
    return CodeScoreSpec(arm="a", seed=0, domain="code_world", suite=WorldSuiteConfig(count=problems), scoring=scoring)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """A server with a SQLite database that serves artifacts, as docker/compose.yaml's does."""
    import sys

    from flows.children import child

    port, store = free_port(), f"sqlite:///{folder / 'server.db'}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", (folder / "store").as_uri()]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with child("flows.tether", command, folder / "mlflow.log", env) as process:
        url = f"http://{LOOPBACK}:{port}"
        wait_until_answers(process, f"{url}/health", "the MLflow server", 300)
        yield url


@contextmanager
def counted() -> Iterator[list[int]]:
    """Requests to the tracking server and bytes of their bodies, both ways, in this process."""
    import requests

    asked, send, lock = [0, 0], requests.Session.send, threading.Lock()

    def counting(self: Any, request: Any, **options: Any) -> Any:
        answer = send(self, request, **options)
        sent = request.headers.get("Content-Length") or (
            os.fstat(request.body.fileno()).st_size if hasattr(request.body, "fileno") else 0
        )
        with lock:
            asked[0] += 1
            asked[1] += int(sent) + int(answer.headers.get("Content-Length") or 0)
        return answer

    requests.Session.send = counting  # type: ignore[method-assign]
    try:
        yield asked
    finally:
        requests.Session.send = send  # type: ignore[method-assign]


def serving(uri: str) -> dict[str, float]:
    """What the server serves to four callers: requests/s (writing a tag, which is a database transaction), MB/s."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    run_id = client.create_run(client.create_experiment("serving")).info.run_id
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "block"
        path.write_bytes(os.urandom(16_000_000))
        client.log_artifact(run_id, str(path))
        tags = rate(lambda place: client.set_tag(run_id, f"tag{place}", "value"), 50)
        blocks = rate(lambda place: client.download_artifacts(run_id, "block", _made(Path(folder) / str(place))), 2)
    return {"requests/s": tags, "MB/s": 16 * blocks}


def rate(call: Callable[[int], Any], repeats: int, callers: int = 4) -> float:
    """Calls a second of several callers."""
    threads = [
        threading.Thread(target=lambda place=place: [call(place) for _ in range(repeats)]) for place in range(callers)
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return repeats * callers / (time.perf_counter() - start)


def extrapolated(load: Load, served: dict[str, float]) -> Iterator[str]:
    """Which of the server's means ends first, if every machine does one such stage after the other."""
    yield f"A stage that only hands on its files: {load.requests} requests to the MLflow server,"
    yield f"{load.megabytes:.1f} MB, {load.seconds:.2f} s. On paper, for"
    yield f"{MACHINES} machines that do such a stage every 30 s, against what one local server with SQLite serves"
    yield "to four callers:"
    yield from (
        "",
        "| means | a stage | 10 machines need | one server serves | machines until it ends |",
        "|---|---:|---:|---:|---:|",
    )
    needs = {"requests/s": load.requests / 30, "MB/s": load.megabytes / 30}
    for name, need in needs.items():
        shown = f"{need * 30:.1f}", f"{need * MACHINES:.2f}", f"{served[name]:.1f}", f"{served[name] / need:,.0f}"
        yield f"| {name} | {' | '.join(shown)} |"


def _made(folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    return str(folder)


if __name__ == "__main__":
    main()
