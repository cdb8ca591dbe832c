"""Where the work of an experiment runs and is remembered: nothing here changes a result."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from polymlops.config.section import Section

Pool = Literal["gpu", "cpu"]
BLOCK = 20  # prompts that are scored together, however a sample set is cut: what a row gets must not depend on the cut


class TrackingConfig(Section):
    """Where runs are remembered. Does not change any result, so it is in no cache key."""

    uri: str | None = Field(None, description="MLflow tracking URI; none: a SQLite file in the output folder")
    price_per_hour: float = Field(0.0, ge=0, description="dollars an hour of the machine, for the cost that is logged")
    pool_prices: dict[Pool, Annotated[float, Field(ge=0)]] = Field(
        {}, description="the same for stages of one work pool, wherever they run; a pool not named: price_per_hour"
    )


class WorkersConfig(Section):
    """Who scores the shards of a sample set. Does not change what is computed."""

    engine: Literal["none", "dask"] = Field(
        "none", description="none: the stage's own process; dask: workers of a Dask cluster (extra `scale`)"
    )
    address: str | None = Field(
        None,
        pattern=r"^(tcp|tls)://",
        description="of a Dask scheduler, tcp://HOST:PORT; none: each stage starts workers on its own machine",
    )
    processes: int = Field(2, ge=1, description="workers that are started where there is no address")
    shard_prompts: int = Field(
        5 * BLOCK,
        ge=BLOCK,
        multiple_of=BLOCK,
        description="prompts a shard of replies or texts; programs have theirs in code.scoring.shard_problems",
    )


class ExecutionConfig(Section):
    """How the work runs. Does not change what is computed."""

    mode: Literal["local", "pools"] = Field(
        "local",
        description="where stages run: in the process of the flow, or as deployments on the work pools `gpu` and `cpu`",
    )
    budget_dollars: float | None = Field(
        None,
        gt=0,
        description="most dollars of a roadmap in all its attempts, by the prices in `tracking` and of its judges; it "
        "stops between stages; none: no limit",
    )
    workers: WorkersConfig = WorkersConfig()
    sampling_shards: int = Field(
        1, ge=1, description="stage runs that the sampling of an arm is split over; on pools they run side by side"
    )
    threads: int = Field(2, ge=1, description="torch threads")
    retries: int = Field(2, ge=0, description="retries of a stage where one can help")
