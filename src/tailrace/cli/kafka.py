"""``tailrace kafka``: the topics of the brokers that a server knows, and any topic's messages as they are.

Nothing is left at the brokers: no group, no commit. A cut connection goes on behind the newest message that was shown.
"""

from __future__ import annotations

import argparse
import json
import sys
from shlex import quote
from typing import Any

from tailrace.cli import client
from tailrace.cli.frames import Frame, Note, Reader
from tailrace.cli.tail import Printer, add_looks, say, until_interrupted
from tailrace.cli.terminal import escape, table
from tailrace.errors import BadInput
from tailrace.text import bytes_text, count_text

_TEMPLATE = "{time} {partition}:{offset} {key} {message}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take what to do, and for it which topic, from where, and how to show it."""
    parser.usage = "tailrace kafka topics | tail TOPIC [QUERY ...] [options]"
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="topics or tail")
    topics = actions.add_parser("topics", help="which topics there are", description="Which topics there are.")
    topics.usage = "tailrace kafka topics [options]"
    topics.add_argument("--partitions", action="store_true", help="each partition by itself")
    topics.add_argument("--output", choices=("text", "json"), default="text", help="default: text")
    client.add_arguments(topics)
    tail = actions.add_parser(
        "tail", help="messages of a topic", description="Messages of a topic, as they are, from anywhere, then live."
    )
    tail.usage = "tailrace kafka tail TOPIC [QUERY ...] [options]"
    tail.add_argument("topic", metavar="TOPIC", help="a topic, or an alias of the server's configuration")
    tail.add_argument("query", nargs="*", metavar="QUERY", help="like: refund key:42 headers.trace:4bf9 value.id:>7")
    tail.add_argument("--from", dest="start", metavar="WHERE", help="latest (default), earliest, or a time: 10m")
    tail.add_argument("--offset", type=int, metavar="N", help="begin at this offset; -N: N messages before the end")
    tail.add_argument("--after", metavar="CHECKPOINT", help="go on behind this checkpoint")
    tail.add_argument("--to", dest="stop", metavar="TIME", help="end before this time, or at now; default: go on, live")
    tail.add_argument("--partitions", metavar="0,3", help="only these")
    tail.add_argument("--limit", type=int, metavar="N", help="end behind so many matches")
    tail.add_argument("--decode", choices=("auto", "json", "url", "text", "hex"), help="how values are read")
    add_looks(tail)
    client.add_arguments(tail)
    tail.set_defaults(context=None, rate_max=None, order="arrival", verify=False, until=None)


def run(args: argparse.Namespace) -> int:
    """Print topics, or messages until the end of what was asked for or an interrupt."""
    server = client.Client(args.server)
    if args.action == "topics":
        answer = server.json("/api/v1/kafka/topics")
        if not answer["brokers"]:
            raise BadInput("the server knows no brokers", cure="Name them in its configuration: [kafka] brokers.")
        print(_topics(answer["topics"], args))
        return 0
    if args.template is None and args.output == "text":
        args.template = _TEMPLATE
    printer = Printer(args)
    asked = {
        "topic": args.topic,
        "q": printer.query or None,
        "from": args.start,
        "offset": args.offset,
        "after": args.after,
        "to": args.stop,
        "partitions": args.partitions,
        "limit": args.limit,
        "decode": args.decode,
    }
    is_watched = sys.stderr.isatty()
    with until_interrupted(Reader(server, asked, "/api/v1/kafka/tail")) as events:
        for event in events:
            if is_watched:
                _progress(event)
            if isinstance(event, Frame) and event.event == "end":
                say(event.json()["why"])
                return 0
            printer.take(event)
    if printer.checkpoint:
        words = [args.topic, *([printer.query] if printer.query else [])]
        say(f"to go on: tailrace kafka tail {' '.join(map(quote, words))} --after {printer.checkpoint}")
    return 130


def _progress(event: Frame | Note | None) -> None:
    """Keep one line of a terminal that says how far it is; it makes room for whatever else is printed."""
    if event is None:
        return
    sys.stderr.write("\r\x1b[K")
    if isinstance(event, Frame) and event.event == "progress":
        sys.stderr.write(_progress_text(event.json()))
    sys.stderr.flush()


def _progress_text(progress: dict[str, Any]) -> str:
    read, total = progress["read"], progress.get("total")
    of = f" of {total:,} ({100 * read // total if total else 100} %)" if total is not None else ""
    problem = f"; {escape(progress['problem'])}" if progress.get("problem") else ""
    return f"-- {read:,}{of} read, {bytes_text(progress['bytes'])}, {progress['matched']:,} matched{problem}"


def _topics(topics: list[dict[str, Any]], args: argparse.Namespace) -> str:
    if args.output == "json":
        return "\n".join(map(json.dumps, topics))
    if args.partitions:
        rows = [["first", "next", "leader", "in sync", "partition", "topic"]]
        for topic in topics:
            for one in topic["partitions"]:
                leader = "none" if one["leader"] < 0 else str(one["leader"])
                in_sync = f"{one['in_sync']} of {one['replicas']}"
                place = [str(one["first"]), str(one["next"]), leader, in_sync, str(one["partition"])]
                rows.append([*place, escape(topic["name"])])
        return table(rows, right=frozenset({0, 1, 2, 4}))
    rows = [["messages", "partitions", "topic"]]
    for topic in topics:
        aliases = f"  ({', '.join(topic['aliases'])})" if topic["aliases"] else ""
        rows.append([count_text(topic["messages"]), str(len(topic["partitions"])), escape(topic["name"]) + aliases])
    return table(rows, right=frozenset({0, 1}))
