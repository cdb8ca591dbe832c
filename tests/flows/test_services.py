"""The Prefect API around a flow: the user's where there is one, and never in the way of the error that matters."""

import httpx
import pytest

from flows.services import raise_first_error
from polymlops.errors import StageError, TrainingError


def _api_failed():
    request = httpx.Request("POST", "http://127.0.0.1/api")
    raise httpx.HTTPStatusError("500", request=request, response=httpx.Response(500, request=request))


def _fail_behind(first):
    try:
        raise first
    except type(first):
        _api_failed()


@pytest.mark.parametrize("first", [TrainingError("loss is NaN"), KeyboardInterrupt()], ids=repr)
def test_failure_behind_a_failing_api_is_raised(first):
    with pytest.raises(type(first)) as raised, raise_first_error():
        _fail_behind(first)
    assert raised.value is first


def test_failing_api_alone_is_named():
    with pytest.raises(StageError, match="the Prefect API failed: 500"), raise_first_error():
        _api_failed()


def test_api_that_does_not_answer_is_exit_1(shell, tmp_path):
    arguments = ["run", "smoke", "--set", f"output_dir={tmp_path / 'out'}"]
    code, done = shell.run(*arguments, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert code == 1
    assert done.err.startswith("error: PREFECT_API_URL http://127.0.0.1:9/api does not answer")
