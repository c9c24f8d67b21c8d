"""The server as a process: uvicorn, and what a signal means."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from dus.serving.app import Server

_GRACE = 10
"""Seconds beyond the time limit that answers may take to be sent when the server ends."""


class Uvicorn(uvicorn.Server):
    """Finishes what runs when a signal asks it to end; what waits is refused.

    Args:
        server: What is served.
        listener: A bound socket.
        ready: A function that is called with the server's address once it answers.
    """

    def __init__(self, server: Server, listener: socket.socket, ready: Callable[[str], object]) -> None:
        self.server, self.listener, self.ready = server, listener, ready
        config = uvicorn.Config(
            server.app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(server.service.limit) + _GRACE,
        )
        super().__init__(config)

    def serve_until_told(self) -> None:
        """Serve; return when a signal has ended it and what ran is finished."""
        self.run(sockets=[self.listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say where."""
        await super().startup(sockets)
        host, port = self.listener.getsockname()[:2]
        self.ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more rows, and end when those that run are done; a second Ctrl-C ends at once."""
        self.server.service.drain()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def bound(host: str, port: int) -> socket.socket:
    """A socket of an address, on which nobody listens yet.

    Args:
        host: A name or an address of this machine.
        port: 0 takes a free one.

    Raises:
        OSError: The address is taken, or is none of this machine's.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener
