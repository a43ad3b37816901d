"""Standard output, for containers: whole lines, and a reader that has stopped reading stops nobody.

The descriptor is asked before each write whether it takes PIPE_BUF bytes without waiting. If it does not for
STDOUT_S_MAX, the batch fails; what was written of it is remembered and only the rest is tried again.
"""

from __future__ import annotations

import os
import select
import sys
from typing import Any

from tailrace_sdk.limits import STDOUT_S_MAX

_PIECE_BYTES = getattr(select, "PIPE_BUF", 512)


class StdoutSink:
    """Standard output, or another descriptor that is open for writing. Belongs to a writer's thread."""

    kind = "stdout"

    def __init__(self, fd: int = -1) -> None:
        """Write to a descriptor; -1 for whatever is standard output when the first batch comes."""
        self._fd = fd
        self._rest = b""
        self._torn = b""

    def after_fork(self) -> None:
        """Forget what belongs to the parent."""
        self._rest = self._torn = b""

    def write(self, data: bytes, count: int) -> None:  # noqa: ARG002 - sinks that drop lines have to count them
        """Write whole lines. Raises OSError when nobody takes them now; the same data continues where it stopped."""
        if self._fd < 0:
            self._fd = sys.stdout.fileno()
        if self._torn != data:
            # Another batch than the one that was begun: its line is ended first, so that no two are mixed.
            left = self._rest[: self._rest.find(b"\n") + 1] if self._torn and self._rest else b""
            self._torn, self._rest = data, left + data
        while self._rest:
            if not self._ready():
                raise BlockingIOError(11, "nobody reads standard output")
            self._rest = self._rest[os.write(self._fd, self._rest[:_PIECE_BYTES]) :]
        self._torn = b""

    def _ready(self) -> bool:
        if not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(STDOUT_S_MAX * 1000))

    def tick(self) -> None:
        """Do nothing: there is nothing to look after."""

    def flush(self, timeout: float) -> bool:  # noqa: ARG002
        """Return True: every write goes to the kernel."""
        return True

    def close(self, timeout: float) -> None:
        """Leave the descriptor open: it is the program's."""

    def get_stats(self) -> dict[str, Any]:
        """Return where it writes."""
        return {"fd": self._fd}
