"""Calls that a problem's tests are known to make, so that they are sent at once and not one by one.

Tests make the same calls for every right program, and waiting for each answer before the next call costs two switches
between processes. The judge remembers the calls of a problem and sends them together with the program; answers come
in order and are judged one by one as before. What is foreseen are arguments, never results; where the tests turn out
to call otherwise, the program is started again without foresight.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

MOST_PROBLEMS = 256
MOST_CALLS = 256
MOST_BYTES = 64 * 1024  # well below what a socket holds, so that nobody waits for the other to read


@dataclass(slots=True)
class Script:
    """The first calls of a problem's tests, as (function's name, bytes of the arguments)."""

    calls: list[tuple[str, bytes]] = field(default_factory=list)
    size: int = 0

    def extend(self, name: str, arguments: bytes) -> bool:
        """Remember one more call; False where there is no room for it."""
        if len(self.calls) >= MOST_CALLS or self.size + len(arguments) > MOST_BYTES:
            return False
        self.calls.append((name, arguments))
        self.size += len(arguments)
        return True

    def shorten(self, count: int) -> None:
        """Forget all but the first calls."""
        del self.calls[count:]
        self.size = sum(len(arguments) for _, arguments in self.calls)


class Foresight:
    """Scripts by the source of the tests; the problem that was not seen for longest is forgotten."""

    def __init__(self) -> None:
        self._scripts: OrderedDict[str, Script] = OrderedDict()

    def script(self, tests: str) -> Script:
        """The script of a problem, an empty one at first."""
        script = self._scripts.setdefault(tests, Script())
        self._scripts.move_to_end(tests)
        if len(self._scripts) > MOST_PROBLEMS:
            self._scripts.popitem(last=False)
        return script
