"""Straight to a Tailrace server: batches over `POST /api/v1/push`, compressed, each with an idempotency key.

    writer -> pending (memory, PENDING_BYTES_MAX) -> this thread -> server
                                                         |  ^
                                                         v  |  oldest first
                                                        spool (disk)

**Order.** While something is in the spool, what is new goes behind it.

**Server down, slow, or full** (no answer, 408, 429, 5xx; 401 and 403 too, since a token can be put right): the push
goes to the spool with the key it was tried with and is tried again, 0.25 s to 10 s apart. So it is stored once, also
when only the answer was lost. Each address with its labels has a spool of its own.

**Bad push** (any other 4xx): dropped and counted. Lines that the server rejects one by one are counted as well.

**Spool full, or its disk:** what is new is dropped and counted; what waits stays.

**Stop:** what is pending is sent within the time that is left, else spooled, also what a server has had for too long;
the next process that logs to this address sends it.

**Crash:** the records of the queue and of ``pending`` are lost, those in the spool are not.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from tailrace_sdk.limits import (
    ADOPT_S,
    BACKOFF_S_MAX,
    BACKOFF_S_MIN,
    PENDING_BYTES_MAX,
    PUSH_BYTES,
    PUSH_LINGER_S,
    PUSH_S_MAX,
    SPILL_S,
    SPOOL_BYTES_MAX,
)
from tailrace_sdk.spool import Spool, Waiting

_PASSING = frozenset({401, 403, 408, 429})
_SERVER = "http://127.0.0.1:7800"


def spool_place() -> str:
    """Return the directory of spools when none is named."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "tailrace-sdk", "spool")


class ServerSink:
    """One server. ``write`` belongs to a writer's thread; sending to its own, which starts with the first line."""

    kind = "server"

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        labels: Mapping[str, str] | None = None,
        spool_dir: str | None = None,
        spool_bytes_max: int = SPOOL_BYTES_MAX,
        push_s_max: float = PUSH_S_MAX,
    ) -> None:
        """Push to a server (default: TAILRACE_SERVER).

        ``labels`` are those of the stream, where a record has none of its own.
        """
        self.url = (url or os.environ.get("TAILRACE_SERVER") or _SERVER).rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{self.url!r} is not the address of a server; it looks like {_SERVER}")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._target = parts.path + "/api/v1/push" + ("?" + urlencode(dict(labels)) if labels else "")
        token = token or os.environ.get("TAILRACE_TOKEN")
        self._headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._push_s_max = push_s_max
        own = format(zlib.crc32(f"{self._host}:{self._port}{self._target}".encode()), "08x")
        self._spool = Spool(os.path.join(spool_dir or spool_place(), own), spool_bytes_max)
        self._fresh()

    def _fresh(self) -> None:
        self._change = threading.Condition()
        self._pending: deque[tuple[bytes, int]] = deque()
        self._pending_bytes = 0
        self._stop_at: float | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._connection: Any = None
        self._fresh_connection = True
        self._backoff_s = 0.0
        self._adopted_at = float("-inf")
        self._busy = False
        self._hand: tuple[bytes, int, str] | None = None  # a push from memory that is on its way
        self._counts = {"sent": 0, "dropped": 0, "rejected": 0, "retries": 0, "spooled": 0}
        self._error = ""

    def after_fork(self) -> None:
        """Leave what waits to the parent."""
        self._spool.after_fork()
        self._fresh()

    def write(self, data: bytes, count: int) -> None:
        """Take whole lines; what there is no room for is dropped and counted. Never waits for the server."""
        with self._change:
            if self._closed:  # the process is ending
                self._keep(_packed(data), count, _key())
                self._spool.close()
                return
            if self._pending_bytes + len(data) > PENDING_BYTES_MAX:
                self._spill()
            self._pending.append((data, count))
            self._pending_bytes += len(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tailrace-sdk-push", daemon=True)
                self._thread.start()
            self._change.notify_all()

    def tick(self) -> None:
        """Do nothing: the thread looks after itself."""

    def flush(self, timeout: float) -> bool:
        """Wait until everything was acknowledged or is on disk."""
        with self._change:
            if self._backoff_s:
                self._spill()
            return self._change.wait_for(lambda: not self._pending and not self._busy, timeout)

    def close(self, timeout: float) -> None:
        """Send what is pending as long as there is time, and spool the rest."""
        with self._change:
            self._stop_at = time.monotonic() + timeout
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
        with self._change:
            self._put_away()
            self._spill()
            self._spool.close()
            self._closed = True

    def get_stats(self) -> dict[str, Any]:
        """Return lines sent, rejected by the server, dropped, that were on disk, and that wait."""
        with self._change:
            waiting = sum(one.lines for one in self._spool.waiting)
            pending = sum(count for _, count in self._pending)
            places = {"waiting_in_memory": pending, "waiting_on_disk": waiting, "spool_bytes": self._spool.bytes}
            return {"url": self.url, **self._counts, **places, "error": self._error}

    def _spill(self) -> None:
        """Move what is pending to the disk, or count it as dropped. Needs the lock."""
        while self._pending:
            data, count = self._take()
            self._keep(_packed(data), count, _key())

    def _keep(self, body: bytes, count: int, key: str) -> None:
        try:
            kept = self._spool.add(body, count, key)
        except OSError as error:
            kept, self._error = False, str(error)
        self._counts["spooled" if kept else "dropped"] += count

    def _take(self) -> tuple[bytes, int]:
        """Return the lines of the next push."""
        taken, size = [], 0
        while self._pending and (not taken or size + len(self._pending[0][0]) <= PUSH_BYTES):
            taken.append(self._pending.popleft())
            size += len(taken[-1][0])
        self._pending_bytes -= size
        return b"".join(data for data, _ in taken), sum(count for _, count in taken)

    # The thread.

    def _run(self) -> None:
        going = True
        while going:
            try:
                going = self._turn()
            except Exception as error:  # noqa: BLE001, PERF203 - the program must not notice; no line is forgotten
                self._error = f"{type(error).__name__}: {error}"
                with self._change:
                    self._put_away()
                time.sleep(BACKOFF_S_MIN)
        self._disconnect()

    def _turn(self) -> bool:
        """Send one push; False when it is time to end."""
        with self._change:
            self._busy = False
            self._change.notify_all()
            self._wait()
            if self._stop_at is not None and (
                time.monotonic() > self._stop_at or self._backoff_s or not (self._pending or self._spool.waiting)
            ):
                return False
            if self._spool.waiting:
                self._spill()
            elif not self._pending:
                return True
            self._busy = True
            self._hand = hand = None if self._spool.waiting else (*self._take(), _key())
        if hand is None:
            return self._send_waiting(self._spool.waiting[0])
        data, count, key = hand
        done = self._push(_packed(data), count, key)
        with self._change:
            if done:
                self._hand = None
            self._put_away()
            return not self._closed

    def _wait(self) -> None:
        """Wait for lines, or for the next attempt. Needs the lock."""
        if time.monotonic() - self._adopted_at > ADOPT_S:
            self._adopted_at = time.monotonic()
            self._spool.adopt()
        if not self._pending and not self._spool.waiting and self._stop_at is None:
            self._change.wait(ADOPT_S)
            if self._stop_at is None and self._pending_bytes < PUSH_BYTES:
                self._change.wait_for(self._hurry, PUSH_LINGER_S)
        if self._backoff_s:
            self._back_off()

    def _send_waiting(self, waiting: Waiting) -> bool:
        """Send the oldest push of the spool; False when it is time to end."""
        try:
            with open(waiting.path, "rb") as file:
                body = file.read()
        except OSError as error:
            self._answered(None, f"the spool cannot be read: {error}", waiting.lines)
            done = True
        else:
            done = self._push(body, waiting.lines, waiting.key)
        with self._change:
            if done and not self._closed:
                self._spool.remove(waiting)
            return not self._closed

    def _put_away(self) -> None:
        """Spool the push that was in hand; its key keeps it from being stored twice. Needs the lock."""
        if self._hand is not None:
            data, count, key = self._hand
            self._hand = None
            self._keep(_packed(data), count, key)

    def _back_off(self) -> None:
        """Wait for the next attempt; what comes meanwhile is on disk within SPILL_S. Needs the lock."""
        until = time.monotonic() + self._backoff_s
        while self._stop_at is None and (left := until - time.monotonic()) > 0:
            self._change.wait_for(lambda: self._stop_at is not None, min(left, SPILL_S))
            self._spill()

    def _hurry(self) -> bool:
        return self._stop_at is not None or self._pending_bytes >= PUSH_BYTES

    def _push(self, body: bytes, count: int, key: str) -> bool:
        """Send one push; True when it is settled, for better or worse, False when it has to be tried again."""
        import http.client

        try:
            try:
                text, status = self._post(body, key)
            except ConnectionError:
                if self._fresh_connection:
                    raise
                self._disconnect()  # a server may close what was idle
                text, status = self._post(body, key)
        except (OSError, http.client.HTTPException) as error:
            self._disconnect()
            return self._again(f"no answer from {self.url}: {error!r}")
        if status == 200:
            self._answered(text, "", count)
            return True
        self._disconnect()
        said = f"the server answered {status}: {text[:300].decode('utf-8', 'replace')}"
        if status in _PASSING or status >= 500:
            return self._again(said)
        self._answered(None, said, count)
        return True

    def _post(self, body: bytes, key: str) -> tuple[bytes, int]:
        """Return what a server answers and its status. Raises OSError, HTTPException."""
        import http.client

        self._fresh_connection = self._connection is None
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            self._connection = kind(self._host, self._port, timeout=self._push_s_max)
        self._connection.request("POST", self._target, body, {**self._headers, "Idempotency-Key": key})
        answer = self._connection.getresponse()
        return answer.read(1 << 20), answer.status

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _again(self, error: str) -> bool:
        with self._change:
            self._error = error
            self._counts["retries"] += 1
            self._backoff_s = min(max(self._backoff_s * 2, BACKOFF_S_MIN), BACKOFF_S_MAX)
        return False

    def _answered(self, text: bytes | None, error: str, count: int) -> None:
        """Count what became of a push; without the text of a good answer all of it was dropped."""
        import json

        with self._change:
            self._backoff_s = 0.0
            if text is None:
                self._counts["dropped"] += count
                self._error = error
                return
            try:
                rejected = int(json.loads(text).get("rejected_count", 0))
            except (ValueError, AttributeError, TypeError):
                rejected = 0
            self._counts["sent"] += count - rejected
            self._counts["rejected"] += rejected


def _packed(data: bytes) -> bytes:
    import gzip

    return gzip.compress(data, 1)


def _key() -> str:
    return os.urandom(16).hex()
