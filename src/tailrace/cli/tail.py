"""``tailrace tail``: records as they arrive. A cut connection is resumed by itself, exactly where it was cut.

Whatever is not a record goes to stderr: gaps, and each time the connection is lost and found again.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from tailrace.cli import client
from tailrace.cli.terminal import escape, record_line, wants_colours
from tailrace.errors import Busy
from tailrace.frame import WHYS
from tailrace.limits import PING_S

_SILENCE_S = 2.5 * PING_S  # a server that is there would have sent a ping
_RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the query, where to begin, the server and the form of the output."""
    parser.add_argument(
        "query", nargs="*", metavar="QUERY", help="like: level:error service:checkout; none: everything"
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--last", type=int, metavar="N", help="begin with the newest N that match")
    start.add_argument("--since", metavar="TIME", help="begin with what happened since: 10m, or 2026-11-20T08:00")
    start.add_argument("--after", metavar="CURSOR", help="go on behind this cursor")
    client.add_arguments(parser)
    parser.add_argument(
        "--output", choices=("text", "json", "raw"), default="text", help="raw: the messages as they are"
    )


def run(args: argparse.Namespace) -> int:
    """Print until interrupted."""
    parameters = {"q": " ".join(args.query) or None, "last": args.last, "since": args.since, "after": args.after}
    server = client.Client(args.server)
    printer = _Printer(args.output)
    failures, connected_once = 0, False
    while True:
        try:
            with server.open("GET", "/api/v1/tail", parameters, timeout_s=_SILENCE_S) as answer:
                if failures:
                    _say(f"connected again{_at(parameters)}; nothing was missed but what is said here")
                connected_once, failures = True, 0
                for event, checkpoint, data in events(answer):
                    printer.print(event, data)
                    if checkpoint:
                        parameters |= {"after": checkpoint, "last": None, "since": None}
            cause = "the server closed the connection"
        except (OSError, http.client.HTTPException) as error:
            cause = str(error) or type(error).__name__
        except (client.Unreachable, Busy) as error:
            if not connected_once:
                raise
            cause = error.message
        if not failures:
            _say(f"{cause}; connecting again{_at(parameters)}")
        time.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
        failures += 1


def events(lines: Iterator[bytes] | http.client.HTTPResponse) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (event, id, data) of a stream of server-sent events as they come in; a torn last one is left out."""
    event = last_id = data = ""
    for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            event = value
        elif name == "id":
            last_id = value
        elif name == "data":
            data = value
        elif not name and data:
            yield event, last_id, json.loads(data)
            event = last_id = data = ""


class _Printer:
    """Prints frames in one form."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._colours = wants_colours(sys.stdout)

    def print(self, event: str, data: dict[str, Any]) -> None:
        """Print one frame: rows to stdout, what a person has to know to stderr."""
        if event == "rows":
            sys.stdout.write("".join(self._line(record) + "\n" for record in data["records"]))
            sys.stdout.flush()
        elif event == "gap":
            count = "an unknown number of" if data["count"] is None else f"{data['count']:,}"
            where = f"from {data['from']} to {data['to']}" if data["from"] else f"before {data['to']}"
            _say(f"GAP: {count} records {where} cannot be shown: {WHYS.get(data['why'], data['why'])}")
        elif event == "end":
            _say(data["why"])

    def _line(self, record: dict[str, Any]) -> str:
        if self._output == "json":
            return json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        if self._output == "raw":
            return str(record.get("message", ""))
        if "message" in record:
            return record_line(record, colours=self._colours)
        return "  ".join(f"{escape(name)}={escape(_text(value))}" for name, value in record.items())


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _at(parameters: dict[str, Any]) -> str:
    return f" at {parameters['after']}" if parameters["after"] else ""


def _say(what: str) -> None:
    print(f"-- {escape(what)}", file=sys.stderr, flush=True)
