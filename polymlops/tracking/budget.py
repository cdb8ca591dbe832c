"""A hard limit on what a roadmap may cost: looked at before each stage, so that a run ends between two of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities import Run
from pydantic import BaseModel, ConfigDict, Field

from polymlops.errors import BudgetError
from polymlops.tracking import ledger
from polymlops.tracking.prices import Prices
from polymlops.tracking.rates import expectation

if TYPE_CHECKING:
    from polymlops.tracking.stage import Stage
    from polymlops.tracking.stages import RunContext

logger = logging.getLogger(__name__)


class Budget(BaseModel):
    """The limit, and what time costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dollars: float = Field(gt=0)
    prices: Prices


def check_budget(client: MlflowClient, context: RunContext, stage: Stage[Any]) -> None:
    """Return where the roadmap may go on with a stage. One whose cost nobody knows may begin while money is left.

    Raises:
        BudgetError: what was spent reaches the budget, or would pass it with what the stage is expected to cost.
    """
    budget = context.budget
    if budget is None:
        return
    spent = spent_dollars(client, context.experiment_id, context.parent_run_id, budget.prices)
    known = expectation(client, context.experiment_id, stage)
    expected = None if known is None else budget.prices.of_stage(stage.name, known.seconds, known.judges)
    if spent < budget.dollars and spent + (expected or 0.0) <= budget.dollars:
        if expected is None:
            logger.info(
                "%s: what it will cost is not known; $%.4g of the budget is left", stage.title, budget.dollars - spent
            )
        return
    about = "" if known is None else f", and {stage.title} is expected to cost ${expected:.4g} (from {known.basis})"
    raise BudgetError(
        f"the budget of ${budget.dollars:g} does not reach for {stage.title}: ${spent:.4g} is spent in this roadmap"
        f"{about}; raise execution.budget_dollars to go on"
    )


def spent_dollars(client: MlflowClient, experiment_id: str, parent_run_id: str, prices: Prices) -> float:
    """What the stages of a roadmap have cost in all its attempts, failed ones included.

    One that a killed process left open counts nothing: when it really ended is not known.

    Raises:
        TrackingError: the store cannot be reached.
    """
    return sum(prices.of_run(run) for run in ledger.runs_below(client, experiment_id, parent_run_id) if is_counted(run))


def is_counted(run: Run) -> bool:
    """False where it is not known when a run's work really ended: nobody was there to close it."""
    return not {ledger.SUPERSEDED_BY, ledger.LOST} & run.data.tags.keys()
