"""A rehearsal of the program's process, before any sample is forked.

Python adapts code to how it is used, fills caches and sets up what a first compilation needs. A sample that had to do
so would do it on copies of its own of the pages that all samples share; what its parent has done before is done. The
program here is ours, and nothing of it stays. Standard library only.
"""

from __future__ import annotations

import marshal
import socket
import sys

from polymlops.evaluation.sandbox_candidate import MODULE, Candidate
from polymlops.evaluation.sandbox_channel import send
from polymlops.evaluation.sandbox_wire import encode

TIMES = 10  # Python specialises code that has run some eight times
LIMIT = 2**16
PROGRAM = """
from typing import Dict, List, Optional
import collections, math

class Pair:
    def __init__(self, left: int, right: int = 0):
        self.left, self.right = left, right

def rehearsed(values: List[float], words: str) -> Optional[Dict[str, float]]:
    '''A little of everything.'''
    total, seen = 0, {}
    for index, value in enumerate(sorted(values, key=lambda value: -value)):
        if index % 2 == 0 and value not in seen:
            seen[str(value)] = round(math.sqrt(abs(value)), 3)
        total += Pair(index).left
    while total > 3:
        total //= 2
    counts = collections.Counter(word.lower() for word in words.split() if word[:1].isalpha())
    try:
        return {**seen, **{word: float(count) for word, count in counts.items()}}
    except (TypeError, ValueError):
        return None
"""


def rehearse() -> None:
    """Load a program and answer its calls, as a sample does, some times over."""
    arguments = encode((([1.0, 4.0, 9.0], "a rehearsal a day"), {}), LIMIT)
    requests = (("load", PROGRAM, ("rehearsed",)), ("named", "rehearsed", arguments), ("call", 0, arguments))
    for _ in range(TIMES):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            send(ours.fileno(), marshal.dumps(requests))
            ours.shutdown(socket.SHUT_WR)
            Candidate(LIMIT).serve(theirs.fileno())
    del sys.modules[MODULE]
