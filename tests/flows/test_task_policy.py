"""Which failures are tried again, and how a stage's end shows in Prefect."""

import httpx
import pytest
import requests
from prefect.states import Failed

from polymlops.errors import (
    ArtifactError,
    ConfigError,
    DataQualityError,
    InputError,
    StageError,
    TrackingError,
    TrainingError,
)
from polymlops.refs import ModelRef
from polymlops.tracking.stage import Outcome
from tasks.policy import as_state, is_transient, may_retry


def _caused(error, cause):
    error.__cause__ = cause
    return error


def _answered(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


def _hub(status):
    request = httpx.Request("GET", "http://127.0.0.1")
    return httpx.HTTPStatusError("x", request=request, response=httpx.Response(status, request=request))


WORTH_IT = [
    TrackingError("x"),
    ConnectionResetError("x"),
    TimeoutError("x"),
    requests.ConnectionError("x"),
    httpx.ConnectError("x"),
    _answered(503),
    _hub(429),
    _caused(StageError("x"), _hub(500)),
    _caused(StageError("x"), _caused(RuntimeError("x"), ConnectionError("x"))),
]
POINTLESS = [
    ConfigError("x"),
    InputError("x"),
    TrainingError("x"),
    DataQualityError("x"),
    ArtifactError("x"),
    StageError("x"),
    ValueError("x"),
    OSError(28, "No space left on device"),
    _answered(404),
    _hub(401),
    _caused(StageError("x"), ValueError("x")),
    _caused(TrainingError("x"), ConnectionError("x")),
]


@pytest.mark.parametrize("error", WORTH_IT, ids=repr)
def test_worth_another_attempt(error):
    assert is_transient(error)
    assert may_retry(None, None, Failed(data=error))


@pytest.mark.parametrize("error", POINTLESS, ids=repr)
def test_pointless_to_repeat(error):
    assert not is_transient(error)
    assert not may_retry(None, None, Failed(data=error))


@pytest.mark.parametrize(("cached", "name"), [(True, "Cached"), (False, "Completed")])
def test_state_tells_whether_the_ledger_had_it(cached, name):
    ref = ModelRef(run_id="r", uri="u", digest="d")
    state = as_state(Outcome(ref, cached, 1.5))
    assert (state.name, state.is_completed(), state.data) == (name, True, ref)
    assert state.message == "run r, 1.5 s"


def test_state_tells_why_there_were_retries():
    ref = ModelRef(run_id="r", uri="u", digest="d")
    state = as_state(Outcome(ref, False, 1.5, ("TrackingError: away", "TimeoutError: late")))
    assert state.message == "run r, 1.5 s, attempt 3 after TrackingError: away; TimeoutError: late"
