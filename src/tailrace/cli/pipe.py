"""``tailrace pipe``: ship standard input and pass it through unchanged, like tee.

Passing through comes first: it never waits for the server. One thread reads and writes through; another sends what
has gathered, at most PIPE_FLUSH_S after it came. Each batch has its own idempotency key and is sent again until the
server has it or the time after the end is over, so no line is lost or stored twice. While the server is away lines
gather up to PIPE_SPOOL_BYTES_MAX; what comes beyond that is counted, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import sys
import threading
import time
import uuid

from tailrace.cli import client
from tailrace.errors import BadInput, Refused, TailraceError
from tailrace.limits import KIB, PIPE_BATCH_BYTES, PIPE_END_S, PIPE_FLUSH_S, PIPE_SPOOL_BYTES_MAX

_RETRY_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the labels of the stream and the server."""
    parser.add_argument("--service", help="whose output it is")
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE", help="one more label")
    client.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Copy until the input ends; 0 when everything was shipped."""
    labels = {"host": socket.gethostname(), "source": "pipe"}
    if args.service:
        labels["service"] = args.service
    for label in args.label:
        name, equals, value = label.partition("=")
        if not equals:
            raise BadInput(f"{label!r} is not a label", cure="Write --label NAME=VALUE.")
        labels[name] = value
    shipper = _Shipper(client.Client(args.server), labels)
    sender = threading.Thread(target=shipper.send_all, name="pipe", daemon=True)
    sender.start()
    try:
        _pass_through(shipper)
    finally:
        shipper.end()
        sender.join()
    return shipper.report()


def _pass_through(shipper: _Shipper) -> None:
    writing = True
    while data := os.read(sys.stdin.fileno(), 64 * KIB):
        shipper.take(data)
        view = memoryview(data)
        while writing and view:
            try:
                view = view[os.write(sys.stdout.fileno(), view) :]
            except BrokenPipeError:  # whoever reads us has left; the log is still wanted
                writing = False


class _Shipper:
    """What waits to be sent. ``take`` and ``end`` belong to one thread, ``send_all`` to another."""

    def __init__(self, server: client.Client, labels: dict[str, str]) -> None:
        self._server = server
        self._labels = labels
        self._waiting = bytearray()
        self._lost_bytes = 0
        self._ended = False
        self._ended_at = 0.0
        self._problem = ""
        self._change = threading.Condition()

    def take(self, data: bytes) -> None:
        """Keep bytes for the server, or count them as lost when too many wait."""
        with self._change:
            if len(self._waiting) + len(data) > PIPE_SPOOL_BYTES_MAX:
                self._lost_bytes += len(data)
            else:
                self._waiting += data
                self._change.notify()

    def end(self) -> None:
        """Tell that no more comes."""
        with self._change:
            self._ended = True
            self._ended_at = time.monotonic()
            self._change.notify()

    def send_all(self) -> None:
        """Send batch after batch of whole lines, until the end and the last is gone or given up."""
        while (batch := self._next()) is not None:
            if batch and not self._send(batch):
                with self._change:
                    self._lost_bytes += len(batch)

    def report(self) -> int:
        """Say what could not be shipped, and return the exit code."""
        lost = self._lost_bytes + len(self._waiting)
        if not lost:
            return 0
        print(f"tailrace pipe: {lost} bytes were not shipped. {self._problem}", file=sys.stderr)
        return 1

    def _next(self) -> bytes | None:
        """Return what to send next (whole lines, or what is left at the end), empty for nothing yet, None at the end."""
        with self._change:
            if not self._waiting and not self._ended:
                self._change.wait()
            if not self._ended:  # the first line has come: others may follow at once
                self._change.wait_for(lambda: self._ended or len(self._waiting) >= PIPE_BATCH_BYTES, PIPE_FLUSH_S)
            if not self._waiting:
                return None if self._ended else b""
            cut = self._waiting.rfind(b"\n", 0, PIPE_BATCH_BYTES) + 1
            if not cut and (self._ended or len(self._waiting) >= PIPE_BATCH_BYTES):
                cut = (self._waiting.find(b"\n") + 1) or len(self._waiting) * self._ended
            batch = bytes(self._waiting[:cut])
            del self._waiting[:cut]
            return batch

    def _send(self, batch: bytes) -> bool:
        headers = {"Content-Type": "text/plain; charset=utf-8", "Idempotency-Key": uuid.uuid4().hex}
        while True:
            try:
                with self._server.open("POST", "/api/v1/push", self._labels, headers=headers, body=batch) as answer:
                    answer.read()
                return True
            except (BadInput, Refused) as error:  # Busy is a Refused too, but one that passes
                self._problem = str(error)
                if not hasattr(error, "retry_s"):
                    return False
            except TailraceError as error:
                self._problem = str(error)
            except (OSError, http.client.HTTPException) as error:
                self._problem = f"The connection broke: {error}"
            with self._change:
                if self._ended and time.monotonic() - self._ended_at > PIPE_END_S:
                    return False
                self._change.wait_for(lambda: self._ended, _RETRY_S)
                if self._ended:
                    self._change.wait(_RETRY_S / 5)
