"""A real HTTP server on loopback that answers as an OpenAI-compatible endpoint, and misbehaves on command.

A script maps (number of the call from 0, the request) to an `Act`; every request is kept as it arrived.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from polymlops.config.judge import EndpointJudgeConfig, JudgeConfig
from polymlops.evaluation.judge import Item

INPUT_TOKENS, OUTPUT_TOKENS = 100, 20
BLOCK = re.compile(
    r"^=== BEGIN (?P<name>[A-Z ]+) (?P<code>[0-9a-f]{32}) ===\n(?P<lines>.*?)\n=== END (?P=name) (?P=code) ===$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Act:
    """What the server does with a call; `cut` closes the connection in the middle of the body."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False
    hold: threading.Event | None = None
    drip: float = 0.0  # seconds between bytes


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    body: dict
    authorization: str | None
    at: float

    @property
    def system(self):
        return self.body["messages"][0]["content"]

    @property
    def content(self):
        return self.body["messages"][1]["content"]

    @property
    def blocks(self):
        """The quoted data by name, unquoted."""
        found = {}
        for match in BLOCK.finditer(self.content):
            lines = match["lines"].split("\n")
            assert all(line.startswith("| ") for line in lines)
            found[match["name"]] = "\n".join(line.removeprefix("| ") for line in lines)
        return found


Script = Callable[[int, Seen], Act]


def completion(content, finish="stop", usage=True, **message):
    """The body of a chat completion that says `content`."""
    body = {
        "id": "x",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content} | message, "finish_reason": finish}
        ],
    }
    if usage:
        body["usage"] = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}
    return json.dumps(body)


def fields(seen):
    """Names and options of the values that a request asks for."""
    properties = seen.body["response_format"]["json_schema"]["schema"]["properties"]
    return {name: value["enum"] for name, value in properties.items() if name != "reason"}


def verdict(seen):
    """A proper verdict: each score follows from the length of the text; of two texts the longer wins."""
    blocks, wanted = seen.blocks, fields(seen)
    if "winner" in wanted:
        lengths = [len(blocks["TEXT A"]), len(blocks["TEXT B"])]
        choice = "tie" if lengths[0] == lengths[1] else "AB"[lengths.index(max(lengths))]
        return json.dumps({"reason": "the longer", "winner": choice})
    return json.dumps({"reason": "by length"} | {name: 1 + len(blocks["TEXT"]) % 10 for name in wanted})


def quick(server_or_url, **changes):
    """The config of a judge at a server, without a key, that waits for nothing longer than it must."""
    url = server_or_url if isinstance(server_or_url, str) else server_or_url.url
    values = {"base_url": url, "model": "m", "key_env": None, "concurrency": 4, "timeout": 10.0}
    paced = {"requests_per_minute": 60_000.0, "backoff": 0.01}
    return JudgeConfig(backend=EndpointJudgeConfig(**(values | paced | changes)))


def length_items(count):
    """Items whose texts are of lengths 1 .. count."""
    return [Item(f"i{i}", f"Prompt {i}.", "x" * (i + 1)) for i in range(count)]


def check_complete(report):
    """Check that every one of `length_items` has the scores that a proper server gives it."""
    expected = [{1 + (i + 1) % 10} for i in range(len(report.verdicts))]
    assert [verdict.scores and set(verdict.scores.values()) for verdict in report.verdicts] == expected
    assert [verdict.item_key for verdict in report.verdicts] == [f"i{i}" for i in range(len(expected))]


def first_times(count, act):
    """A script that acts on the first `count` calls and is proper afterwards."""
    return lambda number, seen: act if number < count else proper(number, seen)


def proper(number, seen):
    """The script of a server that does what it should."""
    return Act(body=completion(verdict(seen)))


class JudgeServer:
    """A server under a script; use it as a context."""

    def __init__(self, script: Script = proper) -> None:
        self.script = script
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def asked(self):
        """How often each question was asked."""
        return Counter(seen.content for seen in self.seen)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, body, authorization):
        seen = Seen(body, authorization, time.monotonic())
        with self._lock:
            self.seen.append(seen)
            return len(self.seen) - 1, seen

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                assert self.path == "/v1/chat/completions"
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                number, seen = server._take(body, self.headers["Authorization"])
                act = server.script(number, seen)
                time.sleep(act.delay)
                if act.hold is not None:
                    act.hold.wait(60)
                try:
                    self._act(act)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _act(self, act):
                content = act.body.encode()
                self.send_response(act.status)
                for name, value in act.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if act.drip:
                    for byte in content:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(act.drip)
                    return
                self.wfile.write(content[: len(content) // 2] if act.cut else content)
                if act.cut:
                    self.close_connection = True

            def log_message(self, *parts):
                pass

        return Handler
