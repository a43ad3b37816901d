"""``tailrace tail``: records as they arrive. A cut connection is resumed by itself, exactly where it was cut.

Whatever is not a record goes to stderr: gaps, each time the connection is lost and found again, and what ``--verify``
found. An interrupt ends it between two frames, so that everything that was printed has been counted.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from shlex import quote
from typing import Any

from tailrace.cli import client
from tailrace.cli.frames import Frame, Note, Reader, stretch
from tailrace.cli.groups import Groups
from tailrace.cli.lines import Highlights, Lines
from tailrace.cli.order import Arrival, Event
from tailrace.cli.tally import Sampled, Tally, differs
from tailrace.cli.terminal import escape, wants_colours
from tailrace.cursor import Cursor
from tailrace.errors import ConfigError

WHYS = {
    "expired": "retention removed them",
    "damaged": "the disk damaged them",
    "slow": "what reads this was too slow, and skipped to now",
    "paused": "they came while you paused",
    "sampled": "there were more than --rate-max",
    "reset": "the position belongs to another log, or lies behind the end of this one",
}
_LOOK_S = 0.1  # so often it is seen that somebody wants to stop, and what waits for its order is looked at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the query, where to begin, how to show it, and the server."""
    parser.usage = "tailrace tail [QUERY ...] [options]"
    parser.formatter_class = partial(argparse.HelpFormatter, max_help_position=28)  # all of it on one screen
    parser.add_argument("query", nargs="*", metavar="QUERY", help="like: level:error service:shop; none: everything")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--last", type=int, metavar="N", help="begin with the newest N that match")
    start.add_argument("--since", metavar="TIME", help="begin with what happened since: 10m, or a time")
    start.add_argument("--after", metavar="CURSOR", help="go on behind this cursor")
    parser.add_argument("--until", metavar="CURSOR", help="with --after: only up to this cursor")
    parser.add_argument("-C", "--context", type=int, metavar="N", help="show N lines of its stream around each match")
    parser.add_argument("--rate-max", type=int, metavar="N", help="sample above N lines/s; errors always pass")
    parser.add_argument(
        "--order", choices=("arrival", "event"), default="arrival", help="event: wait 1 s to sort by time"
    )
    add_looks(parser)
    parser.add_argument("--verify", action="store_true", help="compare with a search; exit code 1 if they differ")
    parser.add_argument("--ui", action="store_true", help="full screen: search, pause, filter, details")
    client.add_arguments(parser)


def add_looks(parser: argparse.ArgumentParser) -> None:
    """Take how records look."""
    parser.add_argument(
        "--highlight", action="append", metavar="WORD", default=[], help="mark WORD or /regex/; repeatable"
    )
    parser.add_argument("--fields", metavar="A,B", help="show these fields behind the message")
    parser.add_argument("--template", help="like '{time} {level:5} {message} {user.id}'")
    parser.add_argument("--output", choices=("text", "json", "raw"), default="text", help="raw: messages as they are")


def run(args: argparse.Namespace) -> int:
    """Print until interrupted, or up to ``--until``. 1 when ``--verify`` finds a difference."""
    if args.until and not args.after:
        raise ConfigError("--until needs --after", cure="Name the cursor where the stretch begins.")
    if args.verify and args.since:
        raise ConfigError("--verify needs a cursor to compare from", cure="Begin with --last, --after, or now.")
    if args.ui:
        from tailrace.cli import ui

        return ui.run(args)
    tail = Printer(args)
    server = client.Client(args.server)
    if args.until:
        for frame in stretch(server, tail.query or None, args.after, args.until):
            tail.take(frame)
        tail.finish()
        return tail.verdict(server) if args.verify else 0
    with until_interrupted(Reader(server, parameters_of(args))) as events:
        for event in events:
            tail.take(event)
    tail.finish()
    return tail.verdict(server) if args.verify else 130


def parameters_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return what is asked of the server: a person wants to see what is now, a program wants everything."""
    return {
        "q": " ".join(args.query) or None,
        "last": args.last,
        "since": args.since,
        "after": args.after,
        "context": args.context,
        "rate_max": args.rate_max,
        "behind": None if args.ui or sys.stdout.isatty() else 0,
    }


@contextmanager
def until_interrupted(reader: Reader) -> Iterator[Iterator[Frame | Note | None]]:
    """Give what comes, with None now and then, until the first interrupt; a second one ends it at once."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        signal.signal(signal.SIGINT, before)
        reader.close()

    def events() -> Iterator[Frame | Note | None]:
        while not stopping:
            yield reader.next(_LOOK_S)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield events()
    finally:
        signal.signal(signal.SIGINT, before)
        reader.close()


class Printer:
    """Prints what comes: records to stdout, what a person has to know to stderr."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.query = " ".join(args.query)
        self._output = args.output
        colours = wants_colours(sys.stdout)
        self._lines = Lines(
            colours=colours,
            aligned=sys.stdout.isatty(),
            fields=[name for name in (args.fields or "").split(",") if name],
            template=args.template,
            highlights=Highlights(self.query, args.highlight) if colours or args.highlight else None,
        )
        self._separator = "\x1b[2m--\x1b[0m\n" if colours else "--\n"
        self._groups = Groups(args.context) if args.context and args.output == "text" else None
        self._order = Event() if args.order == "event" else Arrival()
        self._tally = Tally(args.after if args.until else "") if args.verify else None
        self._is_sampled = bool(args.rate_max)
        self._differs = False
        self._sampled = Sampled()
        self.checkpoint = args.after or ""
        self._until = Cursor.parse(args.until) if args.until else None
        # Bytes that only pass through are not looked into.
        self._passes = args.output == "json" and args.order == "arrival" and not args.verify and not args.until

    def take(self, event: Frame | Note | None) -> None:
        """Print one frame, or what happened; None: nothing came for a moment."""
        if event is None:
            self._print(self._order.due(time.monotonic()))
            return
        if isinstance(event, Note):
            if event.kind == "found" and self._tally:
                self._tally = Tally() if self._is_sampled else self._tally
                self._tally.connected()
            say(event.text)
            return
        if event.event == "rows":
            self._rows(event)
        elif event.event == "gap":
            self._gap(event.json())
        elif event.event == "ping":
            self._missing(self._sampled.take())
            if self._tally:
                self._complain(self._tally.ping(event.json()))
        self.checkpoint = event.checkpoint or self.checkpoint

    def finish(self) -> None:
        """Print what waits for its order."""
        self._print(self._order.rest())
        self._missing(self._sampled.take())

    def verdict(self, server: client.Client) -> int:
        """Compare everything that came with what a search over the same cursors finds; say it, and return the code."""
        tally = self._tally
        if tally is None or not (tally.start and self.checkpoint):
            say("nothing to verify: the server has not said yet where this tail began")
            return 1
        ours, end = (tally.all.count, str(tally.all)), str(self._until or self.checkpoint)
        if self._is_sampled:
            *_, end = tally.settled
            ours = tally.settled[:2]
        found = server.json("/api/v1/verify", {"q": self.query or None, "from": tally.start, "to": end})
        self._complain(differs("a search finds", (found["count"], found["digest"]), (ours[0], ours[1])))
        if not self._differs:
            say(f"verified: {ours[0]:,} records from {tally.start} to {end}, digest {ours[1]}", "32")
        return 1 if self._differs else 0

    def _complain(self, difference: str) -> None:
        if difference:
            self._differs = True
            say(f"NOT VERIFIED: {difference}", "1;31")

    def _rows(self, frame: Frame) -> None:
        if self._passes:
            sys.stdout.buffer.write(b"\n".join(frame.records()) + b"\n")
            sys.stdout.buffer.flush()
            return
        records = frame.json()["records"]
        if self._until is not None:
            cursors = [Cursor.parse(record["cursor"]) for record in records]
            stop = self._until
            records = [
                record
                for record, cursor in zip(records, cursors, strict=True)
                if cursor.epoch == stop.epoch and cursor < stop
            ]
        if self._tally:
            self._tally.rows(records)
        if self._output == "json":
            for record, raw in zip(records, frame.records(), strict=False):
                record["_raw"] = raw
        self._print(self._order.add(records, time.monotonic()))

    def _print(self, shown: Iterable[tuple[Mapping[str, Any], str]]) -> None:
        if self._output == "json":
            sys.stdout.buffer.write(b"".join([bytes(record["_raw"]) + b"\n" for record, _ in shown]))
        elif self._output == "raw":
            sys.stdout.write("".join([str(record.get("message", "")) + "\n" for record, _ in shown]))
        elif self._groups is not None:
            for record, late in shown:
                before = self._separator if self._groups.begins(record) else ""
                sys.stdout.write(f"{before}{self._lines.line(record, late)}\n")
        else:
            line = self._lines.line
            sys.stdout.write("".join([line(record, late) + "\n" for record, late in shown]))
        sys.stdout.flush()

    def _gap(self, gap: dict[str, Any]) -> None:
        if self._tally:
            self._tally.gap(gap)
        if gap["why"] == "sampled":
            self._sampled.add(gap)
        else:
            self._missing(gap)

    def _missing(self, gap: dict[str, Any]) -> None:
        """Say what is missing and, when it can be had, how."""
        if not gap:
            return
        say(gap_text(gap), "33")
        if gap["why"] in ("slow", "sampled"):
            asked = f" {quote(self.query)}" if self.query else ""
            say(f"to fetch them: tailrace tail{asked} --after {gap['from']} --until {gap['to']}")


def gap_text(gap: Mapping[str, Any], *, where: bool = True) -> str:
    """Return a gap as a sentence: how many, of which level, ``where``, and why."""
    count = "an unknown number of" if gap["count"] is None else f"{gap['count']:,}"
    levels = ", ".join(f"{name} {count:,}" for name, count in (gap.get("levels") or {}).items())
    place = (f" from {gap['from']} to {gap['to']}" if gap["from"] else f" before {gap['to']}") if where else ""
    why = WHYS.get(gap["why"], gap["why"])
    return f"GAP: {count} records{f' ({levels})' if levels else ''}{place} are not shown: {why}"


def say(what: str, colour: str = "2") -> None:
    """Tell a person something that is not a record."""
    text = f"-- {escape(what)}"
    print(f"\x1b[{colour}m{text}\x1b[0m" if wants_colours(sys.stderr) else text, file=sys.stderr, flush=True)
