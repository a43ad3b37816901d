"""``tailrace replay``: what happened in a window, in the order of time and at any speed, then on into live.

It is printed as ``tailrace tail`` prints. An interrupt is a pause: it says with what to go on, at another speed too.
"""

from __future__ import annotations

import argparse
from shlex import quote

from tailrace.cli import client
from tailrace.cli.frames import Frame, Reader
from tailrace.cli.tail import Printer, add_looks, say, until_interrupted
from tailrace.errors import ConfigError
from tailrace.limits import REPLAY_SPEED_MAX


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the query, the window, the speed, how to show it, and the server."""
    parser.usage = "tailrace replay [QUERY ...] --from TIME [options]"
    parser.add_argument("query", nargs="*", metavar="QUERY", help="like: level:error service:shop; none: everything")
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--from", dest="start", metavar="TIME", help="begin there: 10m (ago), 2026-11-20T08:00")
    start.add_argument("--after", metavar="TOKEN", help="go on where a replay was interrupted")
    parser.add_argument("--to", dest="stop", metavar="TIME", help="end there; default: go on into live")
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1,
        metavar="N",
        help=f"1 to {REPLAY_SPEED_MAX} times as fast, or max; default: 1",
    )
    add_looks(parser)
    client.add_arguments(parser)
    parser.set_defaults(context=None, rate_max=None, order="arrival", verify=False, until=None)


def run(args: argparse.Namespace) -> int:
    """Print to the end of the window, or until interrupted."""
    if args.after and args.stop:
        raise ConfigError("--to is part of what --after goes on with", cure="Give it with --from.")
    printer = Printer(args)
    asked = {
        "q": printer.query or None,
        "from": args.start,
        "to": args.stop,
        "speed": args.speed,
        "after": args.after,
    }
    with until_interrupted(Reader(client.Client(args.server), asked, "/api/v1/replay")) as events:
        for event in events:
            if isinstance(event, Frame) and event.event == "end":
                say(event.json()["why"])
                return 0
            printer.take(event)
    if printer.checkpoint:
        query = f" {quote(printer.query)}" if printer.query else ""
        say(f"to go on: tailrace replay{query} --after {printer.checkpoint} --speed {args.speed}")
    return 130


def _speed(text: str) -> int | str:
    if text == "max":
        return text
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= REPLAY_SPEED_MAX:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {REPLAY_SPEED_MAX}, and not max")
    return int(text)
