"""The one error of a sink that a writer has to know."""

from __future__ import annotations


class Partly(OSError):
    """A sink took only the first lines of a batch, so many bytes; the rest may be tried again."""

    def __init__(self, taken_bytes: int, error: OSError) -> None:
        """Say why it took no more."""
        super().__init__(*error.args)
        self.taken_bytes = taken_bytes
