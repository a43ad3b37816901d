"""``tailrace agents``: the agents that etcd knows, and what each is to follow; asked of a server that has ``[etcd]``.

``show`` prints the entries with their revision, and ``set`` takes that back: when somebody else has changed them
meanwhile, nothing is overwritten. Entries without a revision replace what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tailrace.cli import client
from tailrace.cli.terminal import escape, table
from tailrace.errors import BadInput, ConfigError, TailraceError
from tailrace.text import bytes_text, count_text

_PATH = "/api/v1/agents"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take what to do, with which agent, and the entries."""
    parser.add_argument(
        "action", nargs="?", choices=("list", "show", "set", "edit", "remove"), default="list", help="default: list"
    )
    parser.add_argument("host", nargs="?", metavar="HOST", help="the name or an address of its machine")
    parser.add_argument("file", nargs="?", metavar="FILE", help="with set: the entries as JSON; -: standard input")
    client.add_arguments(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")
    parser.epilog = 'Entries look like {"entries": [{"path": "/var/log/app/*.log"}]}; edit opens them in $EDITOR.'


def run(args: argparse.Namespace) -> int:
    """Do it."""
    server = client.Client(args.server)
    if args.action == "list":
        answer = server.json(_PATH)
        print(json.dumps(answer) if args.output == "json" else _listed(answer))
        return 0
    if not args.host:
        raise ConfigError("which agent?", cure=f"tailrace agents {args.action} HOST")
    path = f"{_PATH}/{quote(args.host, safe='')}"
    if args.action == "show":
        answer = server.json(path)
        print(json.dumps(answer) if args.output == "json" else _text(answer))
        _complain(answer)
    elif args.action == "set":
        if not args.file:
            raise ConfigError("which entries?", cure=f"tailrace agents set {args.host} FILE, or - for standard input")
        _set(server, path, _read(args.file))
    elif args.action == "edit":
        _edit(server, path)
    else:
        revision = server.json(path)["revision"]
        with server.open("DELETE", path, {"revision": revision}):
            pass
    return 0


def _read(name: str) -> str:
    try:
        return (sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{name} cannot be read: {error}") from error


def _set(server: client.Client, path: str, text: str) -> None:
    """Replace the entries: those of the revision that is named with them, else those that are there."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise BadInput(f"the entries are not JSON: {error}", cure='Write {"entries": [{"path": ...}]}.') from error
    revision = None
    if isinstance(given, dict) and "revision" in given:
        revision = given.pop("revision")
        text = json.dumps(given, ensure_ascii=False, indent=2) + "\n"
    if revision is None:
        revision = server.json(path)["revision"]
    with server.open(
        "PUT", path, {"revision": revision}, body=text.encode(), headers={"Content-Type": "application/json"}
    ) as answer:
        _complain(json.load(answer))


def _edit(server: client.Client, path: str) -> None:
    """Have a person change the entries; what is refused stays in its file."""
    before = _text(server.json(path))
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    handle, name = tempfile.mkstemp(prefix="tailrace-", suffix=".json")
    with os.fdopen(handle, "w") as file:
        file.write(before + "\n")
    try:
        subprocess.run([*editor, name], check=True)  # noqa: S603 - the person's own editor
    except (OSError, subprocess.CalledProcessError) as error:
        raise TailraceError(f"the editor failed: {error}", cure="Name another one in $EDITOR.") from error
    after = _read(name)
    if after.strip() != before.strip():
        try:
            _set(server, path, after)
        except TailraceError as error:
            raise type(error)(error.message, cure=f"{error.cure}\n  Your text is in {name}.") from error
    os.unlink(name)


def _text(answer: dict[str, Any]) -> str:
    """Return entries with their revision; what is none of ours as it is."""
    try:
        said = json.loads(answer["value"] or '{"entries": []}')
        entries = said["entries"] if isinstance(said, dict) else said
    except (ValueError, KeyError):
        return str(answer["value"])
    return json.dumps({"revision": answer["revision"], "entries": entries}, ensure_ascii=False, indent=2)


def _complain(answer: dict[str, Any]) -> None:
    if answer["problem"]:
        print(f"PROBLEM: {escape(answer['problem'])}", file=sys.stderr)


def _listed(answer: dict[str, Any]) -> str:
    if not answer["etcd"]:
        return "this server has no etcd: name its members in the section [etcd] of its configuration"
    rows = [["agent", "is", "seen", "version", "entries", "files", "lag", "wait"]]
    problems: list[str] = []
    for agent in answer["agents"]:
        state = agent["state"] or {}
        figures = ["", "", "", ""]
        if state:
            lag, waiting = state["lag_bytes"], state["waiting_records"]
            figures = [
                count_text(state["entries"]),
                count_text(state["files"]),
                bytes_text(lag) if lag else "",
                count_text(waiting) if waiting else "",
            ]
            problems += [f"{agent['host']}: PROBLEM: {problem}" for problem in state["problems"]]
        seen = "now" if state else _ago(agent["seen"])
        rows.append([agent["host"], agent["condition"], seen, agent["version"] or "", *figures])
    more = ["and more"] if answer["more"] else []
    return "\n".join([table(rows, right=frozenset({4, 5, 6, 7})), *more, *map(escape, problems)])


def _ago(moment: str | None) -> str:
    if moment is None:
        return "never"
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()))
    for span, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= span:
            return f"{seconds // span} {unit} ago"
    return f"{seconds} s ago"
