"""Rows of the full-screen view as styled text: one line each, drawn only while it can be seen."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
from rich.style import Style
from rich.text import Text

from tailrace.cli.held import Row
from tailrace.cli.lines import Highlights, speaker_of, text_of
from tailrace.cli.tail import gap_text
from tailrace.cli.terminal import columns, escape, padded
from tailrace.limits import CLI_SPEAKER_COLUMNS_MAX

LEVELS = {
    "trace": Style(color="#6b7789"),
    "debug": Style(color="#8a97a8"),
    "info": Style(color="#5fb98e"),
    "warn": Style(color="#e5b454"),
    "error": Style(color="#ff7a7a", bold=True),
    "fatal": Style(color="#ffffff", bgcolor="#b3263a", bold=True),
}
_MESSAGES = {
    "error": Style(color="#ffc9c9"),
    "fatal": Style(color="#ffc9c9"),
    "debug": LEVELS["debug"],
    "trace": LEVELS["trace"],
}
_TIME = Style(color="#76839a")
_SPEAKER = Style(color="#6cb6e0")
_PLAIN = Style(color="#d7dde6")
_DIM = Style(color="#76839a")
_LATE = Style(color="#1c2230", bgcolor="#e5b454")
_GAP = Style(color="#e5b454", italic=True)
_MARKS = {
    "1;33": Style(color="#ffd866", bold=True),
    "30;43": Style(color="#1c2230", bgcolor="#ffd866"),
    "30;46": Style(color="#1c2230", bgcolor="#78dce8"),
    "30;45": Style(color="#1c2230", bgcolor="#d59bf6"),
    "30;42": Style(color="#1c2230", bgcolor="#a9dc76"),
}
_FOUND = Style(color="#1c2230", bgcolor="#ff9f5a")
_MESSAGE_MAX = 4_000
"""Characters of a message that a row can show; the details have all of it."""
_OWN = ("time", "level", "message", "fields", "context")


class Painter:
    """Turns rows into text; remembers how wide the column of who speaks is."""

    def __init__(self, highlights: Highlights) -> None:
        """Mark ``highlights``, and ``found`` when a search sets it."""
        self.highlights = highlights
        self.found: Any = None
        self._width = 0

    def row(self, row: Row) -> Text:
        """Return a row as one line."""
        line = Text(no_wrap=True, end="")
        if row.kind == "gap":
            return line.append(f"╌╌ {escape(gap_text(row.data, where=False))} · enter fetches them", _GAP)
        if row.kind == "rule":
            return line.append("--", _DIM)
        if row.kind == "note":
            return line.append(f"╌╌ {escape(row.data['text'])}", _DIM)
        record = row.data
        level, speaker = record.get("level") or "", escape(speaker_of(record))
        self._width = max(self._width, min(columns(speaker), CLI_SPEAKER_COLUMNS_MAX))
        line.append(escape(record.get("time", "")[11:23]), _TIME)
        line.append(" ")
        line.append(f"{escape(level):5}", LEVELS.get(level, _DIM))
        line.append(" ")
        line.append(padded(speaker, self._width), _SPEAKER)
        line.append(" ")
        if row.late:
            line.append(f"late {row.late}", _LATE)
            line.append(" ")
        base = _DIM if "context" in record else _MESSAGES.get(level, _PLAIN)
        if "message" not in record:
            line.append("  ".join(f"{escape(name)}={escape(text_of(value))}" for name, value in record.items()), base)
            return line
        self._message(line, record["message"], base)
        return line

    def _message(self, line: Text, message: str, base: Style) -> None:
        first, _, more = message.partition("\n")
        for colour, piece in self.highlights.pieces(first[:_MESSAGE_MAX]):
            self._pieces(line, piece, base + _MARKS[colour] if colour else base)
        if more:
            line.append(f"  ⏎ {more.count(chr(10)) + 1} more", _DIM)

    def _pieces(self, line: Text, text: str, style: Style) -> None:
        at = 0
        for match in self.found.finditer(text) if self.found is not None else ():
            if match[0]:
                line.append(_flat(text[at : match.start()]), style)
                line.append(_flat(match[0]), _FOUND)
                at = match.end()
        line.append(_flat(text[at:]), style)


def _flat(text: str) -> str:
    return escape(text).replace("\t", "    ")


def details(record: Mapping[str, Any]) -> Text:
    """Return a record as a page: what it says, pretty when it is JSON, and everything that is known of it."""
    page = Text()
    level = record.get("level") or ""
    page.append(escape(record.get("time", "")), _TIME)
    page.append(f"  {escape(level)}", LEVELS.get(level, _DIM))
    page.append(f"  {escape(speaker_of(record))}\n\n", _SPEAKER)
    page.append(_pretty(record.get("message", "")) + "\n", _PLAIN)
    known = {name: value for name, value in record.items() if name not in _OWN}
    for title, values in (("fields", record.get("fields") or {}), ("where it comes from", known)):
        if not values:
            continue
        page.append(f"\n{title}\n", Style(bold=True, color="#d7dde6"))
        width = min(28, max(columns(escape(name)) for name in values))
        for name, value in values.items():
            page.append(f"  {padded(escape(name), width)}  ", _SPEAKER)
            page.append("\n".join(map(escape, text_of(value).split("\n"))) + "\n", _PLAIN)
    return page


def _pretty(message: str) -> str:
    if message.lstrip()[:1] in ("{", "["):
        with suppress(orjson.JSONDecodeError, orjson.JSONEncodeError):
            message = orjson.dumps(orjson.loads(message), option=orjson.OPT_INDENT_2).decode()
    return "\n".join(map(_flat, message.split("\n")))


def around(records: list[Mapping[str, Any]], index: int) -> Text:
    """Return the lines around a record, of its stream, with the record marked."""
    page = Text()
    page.append("\nbefore and after in its stream\n", Style(bold=True, color="#d7dde6"))
    for number, record in enumerate(records):
        level = record.get("level") or ""
        page.append("▸ " if number == index else "  ", _LATE if number == index else _DIM)
        page.append(escape(record.get("time", "")[11:23]), _TIME)
        page.append(f" {escape(level):5} ", LEVELS.get(level, _DIM))
        first = record.get("message", "").partition("\n")[0]
        page.append(f"{_flat(first[:_MESSAGE_MAX])}\n", _PLAIN if number == index else _DIM)
    return page
