"""What can go wrong in the world, as one tree. Faults of the program itself stay built-in exceptions and crash.

TailraceError            a message, and the cure
  QueryError             the text of a query is wrong; knows the position
  ConfigError            a setting is wrong
  BadInput               what a client sent cannot be taken
    Unsupported          a media type or an encoding that nobody here reads
    TooLarge             more than a bound in limits.py allows
  Refused                not allowed, or not now
    Busy                 a limit is reached; says when to come back
      OverQuota          a limit of [quota]; says which, and how much of it is in use
  DataError              the data directory
    Locked               another process has it
    DiskFull             no room; nothing acknowledged is lost
    Damaged              bytes are not what was written
  Away                   a server that is needed beside us does not answer
  Changed                somebody else has changed it meanwhile
  OriginTaken            the place a batch was read from was taken already, in part
  Closed                 the component was shut down
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.cursor import Cursor


class TailraceError(Exception):
    """A fault of the world: what happened, and in ``cure`` what a person can do about it."""

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message}\n  {self.cure}" if self.cure else self.message


class QueryError(TailraceError):
    """The query text is wrong at ``position`` (characters from its start)."""

    def __init__(self, message: str, *, text: str, position: int, cure: str = "") -> None:
        super().__init__(message, cure=cure)
        self.text = text
        self.position = position

    def pointed(self) -> str:
        """Return the query on one line and a caret under the mistake on the next."""
        flat = self.text.replace("\n", " ").replace("\t", " ")
        return f"{flat}\n{' ' * self.position}^ {self.message}"


class ConfigError(TailraceError):
    """A setting is unknown, has the wrong type or contradicts another."""


class BadInput(TailraceError):
    """What a client sent cannot be taken."""


class Unsupported(BadInput):
    """A media type or an encoding that nobody here reads."""


class TooLarge(BadInput):
    """More than a bound of limits.py allows."""


class Refused(TailraceError):
    """Not allowed."""


class Busy(Refused):
    """A limit is reached; the caller may come back after ``retry_s`` seconds."""

    def __init__(self, message: str, *, retry_s: float, cure: str = "") -> None:
        super().__init__(message, cure=cure)
        self.retry_s = retry_s


class OverQuota(Busy):
    """``used`` of ``allowed`` are in use; ``limit`` is the key in [quota], ``breaker``, or ``redis``."""

    def __init__(self, message: str, *, limit: str, used: float, allowed: float, retry_s: float, cure: str) -> None:
        super().__init__(message, retry_s=retry_s, cure=cure)
        self.limit = limit
        self.used = used
        self.allowed = allowed


class DataError(TailraceError):
    """The data directory cannot be used as it is."""


class Locked(DataError):
    """Another process holds the data directory."""


class DiskFull(DataError):
    """There is no room; what was acknowledged is safe, the append was not."""


class Damaged(DataError):
    """Bytes on disk are not the bytes that were written."""


class Away(TailraceError):
    """A server that is needed beside us does not answer."""


class Changed(TailraceError):
    """What was to be replaced is not there any more: somebody else has changed it."""


class OriginTaken(TailraceError):
    """A batch's place was partly taken already; the source must read again from ``next``."""

    def __init__(self, source: str, next: int) -> None:  # noqa: A002 - the field's own name
        super().__init__(f"{source} is already taken up to {next}")
        self.source = source
        self.next = next


class Gone(TailraceError):
    """A position can no longer be read; ``next`` is the first one behind it that can."""

    def __init__(self, message: str, *, next: Cursor) -> None:  # noqa: A002 - the field's own name
        super().__init__(message)
        self.next = next


class Closed(TailraceError):
    """The component was shut down."""
