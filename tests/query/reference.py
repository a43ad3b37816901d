"""The filter language, evaluated slowly and obviously, one record at a time: what every other evaluator must equal.

A record is a dict: time_ns, observed_ns (int), level (0..6), labels (dict), message, trace_id (str or None),
fields (dict or None).
"""

import re
from typing import Any

import orjson

from tailrace.query.filters.equal import Equal
from tailrace.query.filters.everywhere import Everywhere
from tailrace.query.filters.exists import Exists
from tailrace.query.filters.field import Field
from tailrace.query.filters.level import Levels
from tailrace.query.filters.logic import And, Everything, Not, Or
from tailrace.query.filters.phrase import Phrase
from tailrace.query.filters.range import Range
from tailrace.query.filters.regex import Regex
from tailrace.query.filters.time import Times
from tailrace.query.filters.wildcard import Wildcard
from tailrace.record import LEVEL_NAMES

CJK = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\u3040-\u309f\u30a0-\u30fa\u30fc-\u30ff\uac00-\ud7a3]")


def matches(wanted: Any, record: dict[str, Any]) -> bool:
    """Tell whether a filter means a record."""
    match wanted:
        case Everything():
            return True
        case And(filters):
            return all(matches(one, record) for one in filters)
        case Or(filters):
            return any(matches(one, record) for one in filters)
        case Not(inner):
            return not matches(inner, record)
        case Levels(levels):
            return record["level"] in levels
        case Times(name, first_ns, last_ns):
            return first_ns <= record[f"{name}_ns"] <= last_ns
        case Field(name, value):
            return means(value, field(record, name))
        case Everywhere(value):
            return any(means(value, text) for text in everywhere(record))
    raise AssertionError(wanted)


def field(record: dict[str, Any], name: str) -> str | None:
    """Return the text of a field of a record."""
    if name in ("message", "trace_id"):
        return record[name]
    if name == "level":
        return LEVEL_NAMES[record["level"]]
    if name in record["labels"]:
        return record["labels"][name]
    value: Any = (record["fields"] or {}).get(name)
    if value is None:
        value = record["fields"] or {}
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
    return None if value is None else text_of(value)


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def everywhere(record: dict[str, Any]) -> list[str | None]:
    """Return every text of a record that ``*:`` looks at."""
    return [record["message"], record["trace_id"], *record["labels"].values(), *leaves(record["fields"])]


def leaves(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, dict):
        return [text for inner in value.values() for text in leaves(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in leaves(inner)]
    return [text_of(value)]


def means(value: Any, text: str | None) -> bool:
    """Tell whether a value means a text."""
    if text is None:
        return False
    match value:
        case Exists():
            return True
        case Phrase(phrase):
            return re.search(bounded(phrase, re.escape(fold(phrase))), fold(text)) is not None
        case Wildcard(pattern):
            kinds = {"*": r"[^ \t\n\r\f]*", "?": r"[^ \t\n\r\f]"}
            body = "".join(kinds.get(char) or re.escape(char) for char in fold(pattern))
            return re.search(bounded(pattern, body), fold(text)) is not None
        case Regex(pattern, ignore_case):
            return re.search(pattern, text, re.IGNORECASE if ignore_case else 0) is not None
        case Equal(texts):
            return text in texts
        case Range(low, high, low_open, high_open):
            if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", text):
                return False
            number = float(text)
            return (number > low if low_open else number >= low) and (number < high if high_open else number <= high)
    raise AssertionError(value)


def fold(text: str) -> str:
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


def latin(char: str) -> bool:
    """Tell whether a character glues to its neighbours as a letter of a word with spaces around it."""
    return (char.isalnum() or char == "_") and not CJK.match(char)


def bounded(text: str, pattern: str) -> str:
    """Return the pattern with no Latin word character beside an end of ``text`` that is one."""
    glue = r"(?:(?![぀-ヿ㐀-鿿가-힣])\w)"
    before = rf"(?<!{WORD})" if latin(text[0]) else ""
    after = rf"(?!{glue})" if latin(text[-1]) else ""
    return before + pattern + after


WORD = r"[^\W぀-ヿ㐀-鿿가-힣]"


def tokens(text: str) -> set[str]:
    """Return the tokens of a text."""
    found: set[str] = set()
    for run in re.findall(rf"{WORD}+|[぀-ヿ㐀-鿿가-힣]+", fold(text)):
        if CJK.match(run):
            found |= {run[i : i + 2] for i in range(len(run) - 1)} | {run[-1]}
        else:
            found.add(run)
    return found
