"""``tailrace streams``: who is speaking."""

from __future__ import annotations

import argparse
import json

from tailrace.cli import client
from tailrace.cli.terminal import table
from tailrace.text import count_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take a query, a range of time, the server and the form of the answer."""
    parser.add_argument("query", nargs="*", metavar="QUERY", help="count only what matches")
    parser.add_argument("--from", dest="start", metavar="TIME", help="like 1h or 2026-11-20T08:00")
    parser.add_argument("--to", dest="stop", metavar="TIME", help="default: now and later")
    client.add_arguments(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")


def run(args: argparse.Namespace) -> int:
    """Print the streams, the most talkative first."""
    parameters = {"q": " ".join(args.query) or None, "from": args.start, "to": args.stop}
    streams = client.Client(args.server).json("/api/v1/streams", parameters)["streams"]
    if args.output == "json":
        for stream in streams:
            print(json.dumps(stream))
        return 0
    rows = [["records", "last", "stream"]]
    for stream in streams:
        labels = " ".join(f"{name}={value}" for name, value in stream["labels"].items())
        rows.append([count_text(stream["count"]), (stream.get("last") or "")[:19].replace("T", " "), labels])
    print(table(rows, right=frozenset({0})))
    return 0
