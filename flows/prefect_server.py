"""Run as a module: a Prefect API on a loopback port (0: any) that ends when the process that started it does.

The port is printed on stdout. Prefect's own ephemeral server outlives a parent that was killed, and goes on holding
the database.
"""

from __future__ import annotations

import socket
import sys

from flows.tether import end_with_parent


def main() -> None:
    """Serve until stdin ends or a signal comes."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    print(listener.getsockname()[1], flush=True)
    end_with_parent()
    _serve(listener)


def _serve(listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(
        "prefect.server.api.server:create_app",
        factory=True,
        log_level="error",
        lifespan="on",
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
