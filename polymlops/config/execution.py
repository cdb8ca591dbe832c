"""Where the work of an experiment runs and is remembered: nothing here changes a result."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from polymlops.config.section import Section

Pool = Literal["gpu", "cpu"]


class TrackingConfig(Section):
    """Where runs are remembered. Does not change any result, so it is in no cache key."""

    uri: str | None = Field(None, description="MLflow tracking URI; none: a SQLite file in the output folder")
    price_per_hour: float = Field(0.0, ge=0, description="dollars an hour of the machine, for the cost that is logged")
    pool_prices: dict[Pool, Annotated[float, Field(ge=0)]] = Field(
        {}, description="the same for stages of one work pool, wherever they run; a pool not named: price_per_hour"
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
    threads: int = Field(2, ge=1, description="torch threads")
    retries: int = Field(2, ge=0, description="retries of a stage where one can help")
