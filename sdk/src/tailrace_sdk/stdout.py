"""Standard output, for containers: whole lines, and a reader that has stopped reading stops nobody.

As many whole lines as a pipe takes in one piece (PIPE_BUF bytes) are written at a time, so that those of other
processes and what the program prints stay whole as well; a longer line goes in several pieces. The descriptor is asked
before each whether it takes them without waiting. If it does not for STDOUT_S_MAX, the batch fails, and goes on there
when it is tried again. What is left of a line that was begun goes before anything else.
"""

from __future__ import annotations

import os
import select
import sys
from typing import Any

from tailrace_sdk.limits import STDOUT_S_MAX
from tailrace_sdk.sink import Partly

_PIECE_BYTES = getattr(select, "PIPE_BUF", 512)


class StdoutSink:
    """Standard output, or another descriptor that is open for writing. Belongs to a writer's thread."""

    kind = "stdout"

    def __init__(self, fd: int = -1) -> None:
        """Write to a descriptor; -1 for whatever is standard output when the first batch comes."""
        self._fd = fd
        self._rest = b""

    def after_fork(self) -> None:
        """Forget what belongs to the parent."""
        self._rest = b""

    def write(self, data: bytes, count: int) -> None:  # noqa: ARG002 - sinks that drop lines have to count them
        """Write whole lines. Raises OSError when nobody takes them now, Partly when only the first."""
        if self._fd < 0:
            self._fd = sys.stdout.fileno()
        while self._rest:
            self._rest = self._rest[self._piece(self._rest) :]
        done = 0
        try:
            while done < len(data):
                end = min(done + _PIECE_BYTES, len(data))
                end = data.rfind(b"\n", done, end) + 1 or end
                done += self._piece(data[done:end])
        except OSError as error:
            if done and data[done - 1 : done] != b"\n":  # a line that was begun counts: its end is kept
                line = data.find(b"\n", done) + 1
                self._rest, done = data[done:line], line
            if done:
                raise Partly(done, error) from error
            raise

    def _piece(self, piece: bytes) -> int:
        if not self._ready():
            raise BlockingIOError(11, "nobody reads standard output")
        return os.write(self._fd, piece[:_PIECE_BYTES])

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
