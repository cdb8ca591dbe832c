"""A judge behind an OpenAI-compatible endpoint: calls that are paced, retried where it helps, and within a budget.

401, 402, 403 and 404 end the judging at once, and so does an endpoint that nobody can reach; 429, 5xx, timeouts and cut
connections are tried again; any other 4xx is this question's own and recorded as `refused`.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from polymlops.config.judge import EndpointJudgeConfig
from polymlops.errors import StageError, UsageError
from polymlops.evaluation.judge_key import Key
from polymlops.evaluation.judge_money import Meter, worst_case
from polymlops.evaluation.judge_pacing import Pacer, StopAskingError, backoff_seconds, retry_after_seconds
from polymlops.evaluation.judge_parsing import excerpt
from polymlops.evaluation.judge_prompts import Question
from polymlops.evaluation.judge_replies import Reply, read_reply

logger = logging.getLogger(__name__)

OK, TOO_MANY, UNAUTHORIZED, NO_MONEY, FORBIDDEN = 200, 429, 401, 402, 403
AGAIN = frozenset({408, 425, TOO_MANY})
OURS = frozenset({UNAUTHORIZED, NO_MONEY, FORBIDDEN, 404, 405, 410, 421, 451})
FIRST_REDIRECT, FIRST_REFUSAL, FIRST_SERVER_ERROR = 300, 400, 500
NO_QUOTA = "insufficient_quota"  # OpenAI's way to say 402 with 429
LARGEST_BODY = 4 * 2**20  # bytes; no verdict is longer
REMEDIES = {
    UNAUTHORIZED: "the key is not accepted: check the environment variable that backend.key_env names",
    NO_MONEY: "the account has no credit left: pay, then run again",
    FORBIDDEN: "the key may not use this model: check backend.model and the key's rights",
}
End = Literal["answered", "declined", "denied", "later", "broken", "unreachable"]


class CallFailedError(StageError):
    """A call failed on its way, as did every further try."""


@dataclass(frozen=True, slots=True)
class Received:
    """What came of one call; `text` is the body or the fault, without the key; `wait` what Retry-After asked for."""

    end: End
    status: int
    text: str
    wait: float | None = None

    @property
    def fault(self) -> str:
        """What to say about a call that brought no answer."""
        return f"status {self.status}: {server_message(self.text)}" if self.status else self.text


class Bearer(httpx.Auth):
    """Puts the key into each request, so that no variable of ours ever holds it with a request."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header, where there is a key."""
        if self._key.authorization is not None:
            request.headers["Authorization"] = self._key.authorization
        yield request


class Endpoint:
    """The backend `endpoint`. Close it after use."""

    def __init__(self, config: EndpointJudgeConfig, key: Key, meter: Meter, stop: threading.Event) -> None:
        self.name = config.model
        self.identity = config.identity
        self.config = config
        self.meter = meter
        self.lanes = config.concurrency
        self.tries = config.parse_retries + 1
        self._key = key
        self._pacer = Pacer(config.requests_per_minute, stop)
        limits = httpx.Limits(max_connections=config.concurrency, max_keepalive_connections=config.concurrency)
        self._client = httpx.Client(
            auth=Bearer(key), timeout=config.timeout, limits=limits
        )  # follows no redirect: the key stays here

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def reply(self, question: Question) -> Reply:
        """Ask until the endpoint says something.

        Raises:
            UsageError: no call can succeed; the message says what to do.
            StopAskingError: the next call would pass the budget, or the endpoint asks for too long a wait.
            CallFailedError: every try failed on its way.
        """
        body = request_body(self.config, question)
        worst = worst_case(self.config, len(body))
        received = self._call(body, worst)
        for attempt in range(1, self.config.retries + 1):
            if received.end in ("answered", "declined", "denied"):
                break
            self._pause(received, attempt, question.key)
            received = self._call(body, worst)
        return self._judged(received, worst)

    def _judged(self, received: Received, worst: int) -> Reply:
        """Make of what came in the end a reply, or an error."""
        match received.end:
            case "answered":
                reply = read_reply(received.text)
                return self.meter.pay(reply, worst)
            case "declined":
                return Reply(None, f"the endpoint refused: {received.fault}", declined=True, dollars=0.0)
            case "denied":
                raise UsageError(self._denial(received))
            case "unreachable":
                raise UsageError(
                    f"{self.config.base_url}: nobody answers ({received.fault}); check backend.base_url and that the "
                    "endpoint runs; verdicts so far are kept"
                )
        raise CallFailedError(f"{self.config.retries + 1} calls failed, the last with {received.fault}")

    def _denial(self, received: Received) -> str:
        remedy = REMEDIES.get(received.status, "check backend.base_url and backend.model")
        # What a server says about a key may hold parts of it.
        said = "" if received.status in (UNAUTHORIZED, FORBIDDEN) else f" ({server_message(received.text)})"
        if received.status == TOO_MANY:
            remedy = REMEDIES[NO_MONEY]
        return f"{self.config.base_url} answers {received.status}{said}: {remedy}; verdicts so far are kept"

    def _pause(self, received: Received, attempt: int, key: str) -> None:
        wait = received.wait
        logger.warning("judge %s: %s; try %d follows", self.name, received.fault, attempt + 1)
        if wait is None:
            self._pacer.sleep(backoff_seconds(self.config.backoff, attempt, self.config.longest_wait, key))
        elif wait > self.config.longest_wait:
            raise StopAskingError(
                f"the endpoint asks to wait {wait:.0f} s, longer than backend.longest_wait = "
                f"{self.config.longest_wait:g}; run again later"
            )
        else:
            self._pacer.hold(wait)  # a server that is busy is busy for every thread

    def _call(self, body: bytes, worst: int) -> Received:
        """One call, at its time and within the budget; whatever brought no answer gives its money back.

        A call that was cut or timed out may have been paid for: its worst case stays counted.
        """
        self._pacer.wait()
        self.meter.reserve(worst)
        try:
            received = self._post(body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self.meter.cancel(worst)
            return Received("unreachable", 0, self._said(error))
        except httpx.HTTPError as error:
            self.meter.lose(worst)
            return Received("broken", 0, self._said(error))
        except BaseException:
            self.meter.lose(worst)
            raise
        if received.end != "answered":
            self.meter.refund(worst)
        return received

    def _said(self, error: Exception) -> str:
        return self._key.hidden_in(f"{type(error).__name__}: {excerpt(str(error))}")

    def _post(self, body: bytes) -> Received:
        """Send a request and read the whole answer, within twice the timeout.

        Raises: httpx.HTTPError where none arrives whole.
        """
        headers = {"Content-Type": "application/json"}
        deadline = time.monotonic() + self.config.timeout
        content = bytearray()
        url = f"{self.config.base_url}/chat/completions"
        with self._client.stream("POST", url, content=body, headers=headers) as response:
            for chunk in response.iter_bytes():
                content += chunk
                if time.monotonic() > deadline or len(content) > LARGEST_BODY:  # drop by drop, no read ever times out
                    raise httpx.ReadTimeout(f"no whole answer in {self.config.timeout:g} s, or one without end")
        text = self._key.hidden_in(bytes(content).decode("utf-8", "replace"))
        retry_after, date = response.headers.get("retry-after"), response.headers.get("date")
        wait = retry_after_seconds(retry_after, date, datetime.now(UTC))
        return Received(end_of(response.status_code, text), response.status_code, text, wait)


def end_of(status: int, text: str) -> End:
    """What a status says about the call."""
    if status == TOO_MANY and NO_QUOTA in text:
        return "denied"
    if status in AGAIN or status >= FIRST_SERVER_ERROR:
        return "later"
    if status in OURS or FIRST_REDIRECT <= status < FIRST_REFUSAL:
        return "denied"
    return "declined" if status >= FIRST_REFUSAL else "answered"


def server_message(text: str) -> str:
    """What an error body says, on one short line."""
    try:
        found = json.loads(text)
        return excerpt(str(found["error"]["message"]))
    except (ValueError, RecursionError, KeyError, TypeError):
        return excerpt(text)


def request_body(config: EndpointJudgeConfig, question: Question) -> bytes:
    """The JSON of a request."""
    body: dict[str, Any] = {
        "model": config.model,
        "messages": [{"role": message.role, "content": message.content} for message in question.messages],
        config.output_limit: config.max_output_tokens,
    }
    if config.temperature is not None:
        body["temperature"] = config.temperature
    if config.response_format == "json_schema":
        schema = {"name": "verdict", "strict": True, "schema": question.form.schema()}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif config.response_format == "json_object":
        body["response_format"] = {"type": "json_object"}
    return json.dumps(body, ensure_ascii=False).encode()
