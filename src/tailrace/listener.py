"""The socket on which a program lets people ask, and the address at which they reach it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from tailrace import errors
from tailrace.limits import LISTEN_BACKLOG


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Bind the address. Raises Refused."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(LISTEN_BACKLOG)
        except OSError as error:
            raise errors.Refused(
                f"cannot listen on {host}:{port}: {error.strerror}",
                cure="Is another tailrace running? Choose another address with --listen HOST:PORT.",
            ) from error
        yield listener


def url(listener: socket.socket) -> str:
    """Return the address of the page."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{host}:{port}"
