"""Records as lines for people: columns or a template, level colours, highlights, marks of what is late or context."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import cycle
from typing import Any

import orjson

from tailrace.cli.terminal import columns, escape, padded
from tailrace.errors import ConfigError
from tailrace.limits import CLI_SPEAKER_COLUMNS_MAX

LEVEL_COLOUR = {"trace": "2", "debug": "2", "info": "32", "warn": "33", "error": "31", "fatal": "1;31"}
_DIM, _SPEAKER, _LATE, _QUERY = "2", "36", "33", "1;33"
_MARKERS = ("30;43", "30;46", "30;45", "30;42")
_OFF = "\x1b[0m"

_PIECE = re.compile(
    r"""(?P<no>-|not\s+)?(?:(?P<name>[\w.@*]+):)?"""
    r"""(?P<text>"(?:[^"\\]|\\.)*"|/(?:[^/\\\n]|\\.)+/i?|(?(name)\([^)]*\)|\()|(?(name)\[[^\]]*\]|\[)|\|+|[^\s()|",]+)""",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\{\{|\}\}|\{([^{}:]+)(?::(\d{1,3}))?\}")
_ESCAPED = re.compile(r"[!-/:-@\[-^`{-~]")
_WILD = {"*": r"\S*", "?": r"\S"}


def query_words(query: str) -> list[str]:
    """Return what a query looks for in messages, as words, ``/patterns/`` and ``*`` wildcards; not what it excludes.

    Read here by a small scan, because the grammar needs columns, whose import takes longer than a client may to start.
    What it gets wrong costs a colour.
    """
    found = []
    for piece in _PIECE.finditer(query):
        text = piece["text"]
        if text == "|":
            break
        ours = not piece["no"] and (piece["name"] or "message") in ("message", "*")
        if not ours or text[0] in "([|" or text.lower() in ("and", "or", "not", "*"):
            continue
        if text[0] in '"/' or not re.search("[=<>]", text):
            found.append(text[1:-1].replace('\\"', '"') if text[0] == '"' else text)
    return found


def pattern_of(word: str) -> str:
    """Return a word, a wildcard or ``/regex/`` as a pattern for RE2."""
    regex = word.removesuffix("i")
    if len(regex) > 2 and regex[0] == regex[-1] == "/":
        return regex[1:-1]
    body = "".join(_WILD.get(char) or _ESCAPED.sub(r"\\\g<0>", char) for char in word)
    return _edge(word[:1]) + body + _edge(word[-1:])


def compiled(word: str) -> Any:
    """Return what finds a word, a wildcard or a ``/regex/`` in any case. Raises ConfigError.

    RE2 is imported here, because most starts of a client do without.
    """
    import re2

    options = re2.Options()
    options.log_errors = options.case_sensitive = False
    try:
        return re2.compile(pattern_of(word), options)
    except re2.error as error:
        raise ConfigError(
            f"{word}: {error.args[0].decode()}", cure="A pattern is RE2: no look-around, no back-references."
        ) from error


def _edge(char: str) -> str:
    return r"\b" if char.isascii() and char.isalnum() else ""


class Highlights:
    """What is marked in messages: the words of the query, and each word of one's own in a colour of its own."""

    def __init__(self, query: str, words: Iterable[str]) -> None:
        """Mark what ``query`` looks for, and ``words`` (or ``/regex/``), in any case."""
        markers = cycle(_MARKERS)
        self._patterns = [(compiled(word), next(markers)) for word in words]
        with suppress(ConfigError):  # the server says it better
            self._patterns += [(compiled(word), _QUERY) for word in query_words(query)]

    def pieces(self, text: str) -> list[tuple[str, str]]:
        """Return a text cut into (colour or nothing, piece); where two words meet, the one that begins first wins."""
        spans = [
            (*match.span(), colour)
            for pattern, colour in self._patterns
            for match in pattern.finditer(text)
            if match[0]
        ]
        found, at = [], 0
        for start, stop, colour in sorted(spans, key=lambda span: span[0]):
            if start >= at:
                found += [("", text[at:start]), (colour, text[start:stop])]
                at = stop
        return [*found, ("", text[at:])]


def field_of(record: Mapping[str, Any], name: str) -> object:
    """Return a value of a record by its name: of its own, of its fields, or inside of them (``user.id``)."""
    if name in record:
        return record[name]
    value: object = record.get("fields", {})
    if isinstance(value, Mapping) and name in value:
        return value[name]
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def text_of(value: object) -> str:
    """Return a value as text: a string as it is, what is missing as nothing, the rest as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return orjson.dumps(value).decode()


def speaker_of(record: Mapping[str, Any]) -> str:
    """Return who speaks: the service, else the file's name, else the host."""
    path = record.get("path") or ""
    return str(record.get("service") or path.rpartition("/")[2] or record.get("host") or "")


class Lines:
    """Turns records into lines: time, level, who speaks, message, and fields behind it; or a template."""

    def __init__(
        self,
        *,
        colours: bool = False,
        aligned: bool = False,
        fields: Iterable[str] = (),
        template: str | None = None,
        highlights: Highlights | None = None,
    ) -> None:
        """Choose how records look. Raises ConfigError.

        ``aligned`` is for terminals: who speaks is a column that widens up to a bound, an event of several lines is
        several lines.
        """
        self._colours = colours
        self._aligned = aligned
        self._fields = tuple(fields)
        self._template = None if template is None else _parsed(template)
        self._highlights = highlights if colours else None
        self._width = 0

    def line(self, record: Mapping[str, Any], late: str = "") -> str:
        """Return the line of a record; ``late`` is how late it came."""
        if not self._colours and self._template is None and "message" in record:
            return self._plain(record, late)
        if "context" in record:
            plain = "".join(text for _, text in self._parts(record, "", mark=False))
            return self._paint("2", plain)
        return "".join(self._paint(colour, text) for colour, text in self._parts(record, late, mark=True))

    def _plain(self, record: Mapping[str, Any], late: str) -> str:
        """Return what ``line`` returns, faster: this is what programs read, by the thousands a second."""
        time, speaker = record.get("time", ""), speaker_of(record)
        if self._aligned:
            speaker = self._column(escape(speaker))
        shown = f"{time[:10]} {time[11:23]} {record.get('level') or '':5} {speaker}{' ' if speaker else ''}"
        shown += f"late {late} {record['message']}" if late else record["message"]
        for name in self._fields:
            value = field_of(record, name)
            if value is not None:
                shown += f" {name}={text_of(value)}"
        return self._visible(shown)

    def _column(self, speaker: str) -> str:
        self._width = max(self._width, min(columns(speaker), CLI_SPEAKER_COLUMNS_MAX))
        return padded(speaker, self._width)

    def _parts(self, record: Mapping[str, Any], late: str, *, mark: bool) -> Iterable[tuple[str, str]]:
        """Yield (colour or nothing, escaped text)."""
        if self._template is not None:
            yield from self._filled(self._template, record, late, mark)
            return
        if "message" not in record:
            yield "", "  ".join(f"{escape(name)}={escape(text_of(value))}" for name, value in record.items())
            return
        level, speaker = escape(record.get("level") or ""), escape(speaker_of(record))
        if self._aligned:
            speaker = self._column(speaker)
        yield _DIM, escape(record.get("time", "").replace("T", " ")[:23])
        yield "", " "
        yield LEVEL_COLOUR.get(level, ""), f"{level:5}"
        if speaker:
            yield "", " "
            yield _SPEAKER, speaker
        yield "", " "
        if late:
            yield _LATE, f"late {late}"
            yield "", " "
        yield from self._marked(record["message"], mark)
        for name in self._fields:
            value = field_of(record, name)
            if value is not None:
                yield _DIM, f" {escape(name)}="
                yield from self._marked(text_of(value), mark)

    def _filled(
        self, template: list[tuple[str, str, int]], record: Mapping[str, Any], late: str, mark: bool
    ) -> Iterable[tuple[str, str]]:
        for text, name, width in template:
            if not name:
                yield "", text
                continue
            value = late if name == "late" else text_of(field_of(record, name))
            if name == "time":
                yield _DIM, padded(escape(value.replace("T", " ")[:23]), width)
            elif name == "level":
                yield LEVEL_COLOUR.get(value, ""), padded(escape(value), width)
            elif name in ("service", "late"):
                yield _SPEAKER if name == "service" else _LATE, padded(escape(value), width)
            else:
                yield from self._marked(value, mark)
                yield "", " " * (width - columns(escape(value)))

    def _marked(self, text: str, mark: bool) -> Iterable[tuple[str, str]]:
        if self._highlights is None or not mark:
            yield "", self._visible(text)
            return
        for colour, piece in self._highlights.pieces(text):
            yield colour, self._visible(piece)

    def _visible(self, text: str) -> str:
        """Return a text that commands nothing; on a terminal the lines of an event stand below each other, set in."""
        return "\n    ".join(map(escape, text.split("\n"))) if self._aligned and "\n" in text else escape(text)

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}{_OFF}" if colour and text and self._colours else text


def _parsed(template: str) -> list[tuple[str, str, int]]:
    """Return a template as (text, "", 0) and ("", name, width). Raises ConfigError."""
    found: list[tuple[str, str, int]] = []
    between = []
    at = 0
    for place in _PLACE.finditer(template):
        between.append(template[at : place.start()])
        found.append((between[-1], "", 0))
        at = place.end()
        found.append((place[0][0], "", 0) if place[1] is None else ("", place[1], int(place[2] or 0)))
    found.append((template[at:], "", 0))
    if "{" in (rest := "".join([*between, template[at:]])) or "}" in rest:
        raise ConfigError(
            f"a bracket of the template {template!r} stands alone",
            cure="It looks like '{time} {level:5} {service:12} {message} {user.id}'; a bracket itself is doubled.",
        )
    return found
