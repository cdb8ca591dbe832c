"""Run as a module, with a command: the command ends when this process gets a signal or the end of its stdin.

For servers that would outlive a parent that was killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from types import FrameType

GRACE_S = 5.0


def end_with_parent() -> None:
    """Send this process SIGTERM once stdin ends, which is when the process that holds its other end does."""

    def watch() -> None:
        while os.read(
            sys.stdin.fileno(), 1
        ):  # no buffered reader: a thread that waits in one breaks the interpreter's end
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides when this ends


def main() -> None:
    """Run the command in its own process group and end the whole group."""
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)

    def end(_signal: int, _frame: FrameType | None) -> None:
        os.killpg(process.pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    end_with_parent()
    code = process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what the command started and left
    sys.exit(code)


if __name__ == "__main__":
    main()
