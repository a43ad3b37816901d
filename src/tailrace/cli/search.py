"""``tailrace search``: records as they are found, newest first."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from typing import Any

from tailrace.cli import client
from tailrace.cli.lines import Lines, text_of
from tailrace.cli.terminal import escape, wants_colours
from tailrace.errors import TailraceError
from tailrace.text import bytes_text, count_text

_COLUMNS = ("time", "level", "service", "host", "path", "message", "fields", "cursor")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the query, a range of time, how many in which order, the server and the form of the answer."""
    parser.add_argument("query", nargs="*", metavar="QUERY", help="like: level:error service:checkout | top 5 message")
    parser.add_argument("--from", dest="start", metavar="TIME", help="like 1h or 2026-11-20T08:00")
    parser.add_argument("--to", dest="stop", metavar="TIME", help="default: now and later")
    parser.add_argument("--limit", type=int, metavar="N", help="default: 100")
    parser.add_argument("--order", choices=("newest", "oldest", "arrival", "arrival_newest"), help="default: newest")
    client.add_arguments(parser)
    parser.add_argument("--output", choices=("text", "json", "csv"), default="text", help="default: text")


def run(args: argparse.Namespace) -> int:
    """Print rows as they come; a summary goes to stderr when that is a terminal. 1 when the answer is not complete."""
    parameters = {
        "q": " ".join(args.query) or None,
        "from": args.start,
        "to": args.stop,
        "limit": args.limit,
        "order": args.order,
    }
    printer = _Printer(args.output)
    wanted = {"Accept": "application/x-ndjson"}
    server = client.Client(args.server)
    with server.open("GET", "/api/v1/search", parameters, headers=wanted) as answer:
        for line in answer:
            row = json.loads(line)
            if "end" in row and len(row) == 1:
                return _end(row["end"])
            if "error" in row and len(row) == 1:
                raise TailraceError(row["error"]["detail"], cure=row["error"].get("cure", ""))
            printer.print(row, line)
    raise TailraceError("the answer broke off", cure="Is the server still there? `tailrace status` tells.")


def _end(end: dict[str, Any]) -> int:
    stats = end["stats"]
    if sys.stderr.isatty() or not end["complete"]:
        print(
            f"{count_text(stats['matched'])} matched of {count_text(stats['scanned_records'])} records looked at"
            f" ({bytes_text(stats['scanned_bytes'])}) in {stats['took_ms']:.0f} ms",
            file=sys.stderr,
        )
    if not end["complete"]:
        print("not complete: the search ran out of time; narrow it with --from, --to or more words", file=sys.stderr)
    return 0 if end["complete"] else 1


class _Printer:
    """Prints rows: records as lines, rows of an aggregate as ``key=value``."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._lines = Lines(colours=wants_colours(sys.stdout), aligned=sys.stdout.isatty())
        self._csv = csv.writer(sys.stdout)
        self._columns: tuple[str, ...] = ()

    def print(self, row: dict[str, Any], line: bytes) -> None:
        """Print one row; ``line`` is its JSON."""
        if self._output == "json":
            sys.stdout.write(line.decode())
        elif self._output == "csv":
            self._print_csv(row)
        elif "message" in row:
            print(self._lines.line(row))
        else:
            print("  ".join(f"{escape(name)}={escape(text_of(value))}" for name, value in row.items()))
        if sys.stdout.isatty():
            sys.stdout.flush()

    def _print_csv(self, row: dict[str, Any]) -> None:
        if not self._columns:
            self._columns = _COLUMNS if {"message", "cursor"} <= row.keys() else tuple(row)
            self._csv.writerow(self._columns)
        self._csv.writerow([text_of(row.get(name)) for name in self._columns])
