"""One roadmap of a name at a time, on a server that several people or schedules use."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists

LEASE_S = 60.0  # how long a limit stays taken after its holder was killed; Prefect renews it before
logger = logging.getLogger("polymlops.run_names")


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold the only slot of an experiment's name; a second run waits for the first, and then finds its stages done.

    Only where a Prefect server was given: the one of a single call has nobody else on it.
    """
    with _slot(f"experiment-{name}") if os.environ.get("PREFECT_API_URL") else nullcontext():
        yield


@contextmanager
def gpu_slot(limit: str | None) -> Iterator[None]:
    """Hold one of the GPUs that a limit counts; nothing for none.

    Raises:
        ConcurrencySlotAcquisitionError: there is no such limit: `polymlops deploy` makes it.
    """
    with concurrency(limit, lease_duration=LEASE_S, strict=True) if limit else nullcontext():
        yield


@contextmanager
def _slot(limit: str) -> Iterator[None]:
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=limit, limit=1))
    logger.info("waits for the slot of %s", limit)
    # A server that is away for longer than a lease must not end the run: the ledger keeps once what two of a name make.
    with concurrency(limit, lease_duration=LEASE_S, strict=True, raise_on_lease_renewal_failure=False):
        yield
