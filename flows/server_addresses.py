"""The servers that a command talks to: named by the environment, and their errors as ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.exceptions import PrefectHTTPStatusError

from polymlops.errors import ConfigError, StageError

LONGEST = 2000  # characters of an answer that are worth showing


def mlflow_address() -> str:
    """MLflow's address, as every worker reaches it.

    Raises:
        ConfigError: MLFLOW_TRACKING_URI is not set.
    """
    return _address("MLFLOW_TRACKING_URI", "the MLflow server, as every worker reaches it")


def prefect_address() -> str:
    """Prefect's address.

    Raises:
        ConfigError: PREFECT_API_URL is not set.
    """
    return _address("PREFECT_API_URL", "the Prefect server")


@contextmanager
def answering() -> Iterator[None]:
    """Turn what the Prefect client raises into a StageError with the server's own words."""
    try:
        yield
    except PrefectHTTPStatusError as error:
        answer = error.response.text[:LONGEST]
        raise StageError(f"the Prefect server answered {error.response.status_code}: {answer}") from error
    except httpx.HTTPError as error:
        raise StageError(f"the Prefect server at {prefect_address()} does not answer: {error}") from error


def _address(variable: str, what: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise ConfigError(f"{variable} is not set: give the address of {what}")
    return value
