"""What an index needs besides documents: its template before the first one, and an end when it is old.

The template is written before anything is consumed, for a first document without it would make an index with a mapping
that nobody wants; then again whenever a process starts, so a new version brings its own. Until the cluster has taken
it, nothing is read, and it is said.

An index holds a day (store/elastic/document.py). Once all of that day is older than the retention it is deleted as a
whole, so there is no policy to be kept in the cluster, and both products do the same. Whoever of the group has
partition 0 of a topic does it; should two of them do it at once, the second one finds nothing to delete.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from tailrace.errors import TailraceError
from tailrace.limits import BULK_RETRY_S_MAX, INDEXING_UPKEEP_S
from tailrace.store.elastic import mapping
from tailrace.store.elastic.client import Client


class Upkeep:
    """Writes the template, calls ``begin`` once it is there, and deletes old indices while ``chosen`` says so."""

    def __init__(
        self,
        client: Client,
        prefix: str,
        *,
        shards: int,
        replicas: int,
        retain_s: float,
        begin: Callable[[], None],
        chosen: Callable[[], bool],
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._shards = shards
        self._replicas = replicas
        self._retain = timedelta(seconds=retain_s)
        self._begin = begin
        self._chosen = chosen
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self.ready = False
        """Whether the cluster has the template."""
        self.why = "the cluster was not reached yet"
        """What is wrong now."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a call that is under way is left to itself."""
        self._stopping.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self.ready:
                    mapping.install(self._client, self._prefix, shards=self._shards, replicas=self._replicas)
                    self.ready = True
                    self._begin()
                if self._chosen():
                    self.delete_old(datetime.now(UTC))
                self.why = ""
            except TailraceError as error:
                self.why = str(error)
            self._stopping.wait(INDEXING_UPKEEP_S if self.ready else BULK_RETRY_S_MAX / 5)

    def delete_old(self, now: datetime) -> list[str]:
        """Delete the indices whose whole day is older than the retention, and return them. Raises TailraceError."""
        named = re.compile(rf"{re.escape(self._prefix)}-(?:undated-)?(\d{{4}})\.(\d\d)\.(\d\d)")
        old: list[str] = []
        for name in self._client.indices(f"{self._prefix}-*"):
            found = named.fullmatch(name)
            if found and _ended(*map(int, found.groups())) <= now - self._retain:
                self._client.delete_index(name)
                old.append(name)
        return old


def _ended(year: int, month: int, day: int) -> datetime:
    """Return the moment when a day was over; never for what is no day."""
    try:
        first = datetime.combine(date(year, month, day), datetime.min.time(), UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return first + timedelta(days=1)
