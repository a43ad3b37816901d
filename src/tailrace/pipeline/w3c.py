"""W3C extended logs, as IIS writes them: a ``#Fields:`` line names the columns of the lines behind it.

The names are taken from the newest ``#Fields:`` line of the lines themselves, or else from the head of the file, so
that a start in its middle knows them, too. Times are UTC, as the standard says; a line has one when its first two
columns are date and time. Values without any spaces stand between single spaces; ``-`` is an absent one.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.pipeline.dissect import Template
from tailrace.pipeline.parse_text import Layout, at
from tailrace.pipeline.timestamp import ISO

NAME = "w3c"
_MARK = "#Fields: "
_FEW_LINES = 64
_NAMES = {
    "c-ip": "client",
    "cs-method": "method",
    "cs-uri-stem": "url",
    "cs-uri-query": "query",
    "cs-username": "user",
    "cs-version": "protocol",
    "cs(User-Agent)": "agent",
    "cs(Referer)": "referer",
    "s-ip": "server",
    "s-port": "port:number",
    "sc-status": "status:number",
    "sc-bytes": "bytes:number",
    "time-taken": "duration:number",
}
_KNOWN = re.compile(r"[\w.\-()]+\Z")


def header(lines: pa.StringArray, head: bytes) -> str:
    """Return the newest ``#Fields:`` line among these or in the head of their file; nothing without one."""
    # Two calls of Arrow cost as much as looking at a hundred lines, and lines mostly come one by one.
    if len(lines) <= _FEW_LINES:
        marked = [line for line in lines.to_pylist() if line.startswith(_MARK)]
    else:
        marked = lines.filter(pc.starts_with(lines, _MARK)).to_pylist()
    if marked:
        return marked[-1]
    found = [line for line in head.decode("utf-8", "replace").splitlines() if line.startswith(_MARK)]
    return found[-1] if found else ""


def layout_of(line: str) -> Layout | None:
    """Return the layout that a ``#Fields:`` line describes; None when it names no columns."""
    names = line.removeprefix(_MARK).split()
    if not names or any(not _KNOWN.match(name) for name in names):
        return None
    dated = names[:2] == ["date", "time"]
    shown = " ".join("{" + _NAMES.get(name, name) + "}" for name in (names[2:] if dated else names))
    templates = (Template((" " if dated else "") + shown),) if shown else ()
    return Layout(
        NAME, "W3C extended, IIS", line, at(0), ISO if dated else None, templates=templates, strict=True, utc=True
    )
