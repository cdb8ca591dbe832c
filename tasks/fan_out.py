"""Shards of a stage as Prefect tasks on Dask's workers, which may be on other machines.

A worker is told what to do and where its inputs lie in the artifact store; it fetches them into its own cache, once.
Dask gives the shard of a worker that died to another one. Tables come back to the stage, which keeps them in its
scratch folder as they come: a stage that is begun again asks only for what is missing.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from polymlops.config.execution import WorkersConfig
from polymlops.errors import ConfigError, WorkerLostError
from polymlops.evaluation.shards import ALONE, Frames, Shard, ShardWork, Sharing, one_by_one
from polymlops.refs import Reference
from polymlops.tracking.stages import RunContext
from tasks.attempts import CountedRunner
from tasks.stage_task import StageRunner

Folders = Callable[[Mapping[str, Path]], Any]
EXTRA = "execution.workers.engine: dask needs prefect-dask: pip install 'polymlops[scale]'"
CLUSTER = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}


def sharing_of(runner: StageRunner, inputs: Mapping[str, Reference], folders: Folders) -> Sharing:
    """Who does a stage's shards, as the config says; `folders` makes a work's inputs of folders by role."""
    context = runner.runner if isinstance(runner, CountedRunner) else runner
    if not isinstance(context, RunContext):
        return ALONE
    dask = context.workers.engine == "dask"
    return Sharing(DaskShare(context, dict(inputs), folders) if dask else one_by_one, context.workers.shard_prompts)


@dataclass(frozen=True, slots=True)
class ShardRequest:
    """All that a worker needs for one shard."""

    context: RunContext
    work: ShardWork
    inputs: Mapping[str, Reference]
    folders: Folders
    shard: Shard

    def done(self) -> Frames:
        """Fetch what is not here yet, and do the shard."""
        context = self.context.model_copy(update={"output_dir": _here(self.context.output_dir)})
        paths = {role: context.fetch(ref) for role, ref in self.inputs.items()}
        with self.work.opened(self.folders(paths)) as score:
            return score(self.shard)


@dataclass(frozen=True, slots=True)
class DaskShare:
    """Has shards done by the workers that the config names."""

    context: RunContext
    inputs: Mapping[str, Reference]
    folders: Folders

    def __call__(self, work: ShardWork, inputs: Any, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Frames]]:
        """Ask for all shards together.

        Raises:
            ConfigError: prefect-dask is not installed.
            WorkerLostError: a shard's workers died again and again.
        """
        requests = [ShardRequest(self.context, work, self.inputs, self.folders, shard) for shard in shards]
        for index, state in _ended([pickle.dumps(request) for request in requests], self.context.workers):
            yield shards[index], pickle.loads(state.result(_sync=True))


@task(name="score_shard", task_run_name="{title}", cache_policy=NO_CACHE, persist_result=False)
def score_shard(title: str, request: bytes) -> bytes:
    """Do a pickled request; gives its tables, pickled."""
    return pickle.dumps(pickle.loads(request).done())


def _ended(requests: Sequence[bytes], workers: WorkersConfig) -> Iterator[tuple[int, Any]]:
    """Index and final state of each request, as they end."""
    try:
        from distributed import KilledWorker, as_completed
        from prefect_dask import DaskTaskRunner
    except ImportError as error:
        raise ConfigError(EXTRA) from error
    own = {"cluster_kwargs": CLUSTER | {"n_workers": workers.processes}}
    with DaskTaskRunner(**({"address": workers.address} if workers.address else own)) as runner:
        asked = [
            runner.submit(score_shard, {"title": f"shard {number + 1} of {len(requests)}", "request": request})
            for number, request in enumerate(requests)
        ]
        places = {future.wrapped_future.key: place for place, future in enumerate(asked)}
        for future in as_completed([future.wrapped_future for future in asked], loop=runner.client.loop):
            try:
                yield places[future.key], future.result()
            except KilledWorker as error:
                raise WorkerLostError(f"a shard ended every worker that tried it: {error}") from error


def _here(output_dir: Path) -> Path:
    """The output folder on this machine: below POLYMLOPS_WORKDIR where that is set, as for workers of the pools."""
    folder = os.environ.get("POLYMLOPS_WORKDIR")
    return Path(folder).resolve() / output_dir.name if folder else output_dir
