"""``tailrace status``: how the server is, in a few lines."""

from __future__ import annotations

import argparse
import json
from typing import Any

from tailrace.cli import client
from tailrace.cli.terminal import table
from tailrace.text import bytes_text, count_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the server and the form of the answer."""
    client.add_arguments(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")


def run(args: argparse.Namespace) -> int:
    """Print what ``/api/v1/status`` says."""
    status = client.Client(args.server).json("/api/v1/status")
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
    if name == "agents" and isinstance(value, list):
        return "; ".join(map(_agent, value)) or "none"
    return "; ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _agent(agent: dict[str, Any]) -> str:
    waiting = agent["waiting_records"]
    return (
        f"{agent['host']} ({agent['seen_s_ago']:.0f} s ago{f', {count_text(waiting)} records wait' if waiting else ''})"
    )
