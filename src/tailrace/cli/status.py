"""``tailrace status``: how the server is, in a few lines; and how the files are that it follows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from tailrace.cli import client
from tailrace.cli.terminal import escape, table
from tailrace.text import bytes_text, count_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the server and the form of the answer."""
    parser.add_argument("--files", action="store_true", help="each file that is followed, the worst first")
    parser.add_argument("--path", metavar="TEXT", help="with --files: only those with this in their path, or a glob")
    parser.add_argument("--limit", type=int, metavar="N", help="with --files: so many (default: 100)")
    client.add_arguments(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")


def run(args: argparse.Namespace) -> int:
    """Print what ``/api/v1/status`` says, or ``/api/v1/collect``."""
    server = client.Client(args.server)
    if args.files:
        answer = server.json("/api/v1/collect", {"path": args.path, "limit": args.limit})
        print(json.dumps(answer) if args.output == "json" else _collecting(answer))
        return 0
    status = server.json("/api/v1/status")
    if args.output == "json":
        print(json.dumps(status))
        return 0
    rows = [[name.replace("_", " "), _shown(name, value)] for name, value in status.items()]
    print(table(rows))
    return 0


def _shown(name: str, value: object) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if name.endswith("_bytes"):
            return bytes_text(value)
        return f"{value:.1f} s" if name.endswith("_s") else count_text(value)
    if not isinstance(value, list):
        return str(value)
    one, none = _LISTS.get(name, (str, "none"))
    return "; ".join(map(one, value)) or none


def _collecting(answer: dict[str, Any]) -> str:
    rows = [["state", "lag", "waits", "size", "lines", "layout", "file"]]
    for file in answer["files"]:
        waits = f"{file['lag_s']:.1f} s" if file["lag_bytes"] else ""
        why = f"  ({file['error']})" if file["error"] else ""
        lag = bytes_text(file["lag_bytes"]) if file["lag_bytes"] else ""
        size, lines = bytes_text(file["size"]), count_text(file["lines"])
        rows.append([file["state"], lag, waits, size, lines, file["layout"] or "", file["path"] + why])
    parts = [table(rows, right=frozenset({1, 2, 3, 4}))]
    if answer["total"] > len(answer["files"]):
        parts.append(f"and {count_text(answer['total'] - len(answer['files']))} more")
    states = ", ".join(f"{count_text(count)} {state}" for state, count in answer["states"].items()) or "no files"
    lag = "no lag"
    if answer["lag_bytes"]:
        lag = f"{bytes_text(answer['lag_bytes'])} behind, up to {answer['lag_s']:.1f} s"
    parts.append(f"{states} · {lag} · {count_text(answer['lines'])} lines read")
    parts += [f"entry {entry['path']}: {entry['problem']}" for entry in answer["entries"] if entry["problem"]]
    parts += [f"PROBLEM: {problem}" for problem in answer["problems"]]
    return "\n".join([parts[0], *(escape(part) for part in parts[1:])])


def _usage(usage: dict[str, Any]) -> str:
    limit = usage["limit"].removesuffix("_total")
    what = {"lines_per_s": "lines/s", "bytes_per_s": "bytes/s", "search_s_per_min": "search s/min"}.get(limit, limit)
    used, allowed = (
        (bytes_text if limit == "bytes_per_s" else "{:,.0f}".format)(usage[n]) for n in ("used", "allowed")
    )
    return f"{what} {used} of {allowed}{' in all' if limit != usage['limit'] else ''}"


def _agent(agent: dict[str, Any]) -> str:
    waiting = agent["waiting_records"]
    return (
        f"{agent['host']} ({agent['seen_s_ago']:.0f} s ago{f', {count_text(waiting)} records wait' if waiting else ''})"
    )


def _partition(partition: dict[str, Any]) -> str:
    behind = f" ({count_text(partition['lag'])} to go)" if partition["lag"] else ""
    return f"{partition['topic']}/{partition['partition']}{behind}"


def _output(output: dict[str, Any]) -> str:
    waiting = f", {count_text(output['waiting'])} records wait" if output["waiting"] else ""
    return f"{output['server']} ({output['state']}, {count_text(output['shipped'])} shipped{waiting})"


_LISTS: dict[str, tuple[Callable[[Any], str], str]] = {
    "agents": (_agent, "none"),
    "outputs": (_output, "none"),
    "quota": (_usage, "without limits"),
    "partitions": (_partition, "none"),
}
"""How the elements of a list are said, and what is said of an empty one."""
