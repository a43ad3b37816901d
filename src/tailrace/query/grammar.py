"""The grammar of filters: from a scanner to a filter. Nothing is guessed: what is not understood fails, with a cure."""

from __future__ import annotations

import math
import re

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.errors import QueryError
from tailrace.limits import QUERY_DEPTH_MAX
from tailrace.query.filters import Filter
from tailrace.query.filters.equal import Equal
from tailrace.query.filters.everywhere import Everywhere
from tailrace.query.filters.exists import Exists
from tailrace.query.filters.field import Field
from tailrace.query.filters.level import ALIASES, PRESENT, Levels
from tailrace.query.filters.logic import Everything, Not, conjunction, disjunction
from tailrace.query.filters.phrase import Phrase
from tailrace.query.filters.range import Range
from tailrace.query.filters.regex import Regex
from tailrace.query.filters.time import Times
from tailrace.query.filters.value import NUMBER, Value
from tailrace.query.filters.wildcard import Wildcard
from tailrace.query.scan import Scanner
from tailrace.query.times import TIME_MAX_NS, TIME_MIN_NS, parse_span
from tailrace.record import LEVEL_NAMES

_WORD = re.compile(r'(?:(?!&&)[^\s()|":,\[\]=<>])+')
_VALUE_WORD = re.compile(r'(?:(?!&&)[^\s()|",\[\]=<>])+')
_SCALAR = re.compile(r'[^\s()|",\[\]<>=]+')
_COMPARISON = re.compile(r"==|>=|<=|=|>|<")
_REGEX = re.compile(r"/((?:[^/\\\n]|\\.)+)/(i?)")
_NUMBER = re.compile(NUMBER, re.ASCII)
_NUMBER_NAME = re.compile(r"[\d.]+")
_TIMES = ("time", "observed")
_QUOTE = "put it in double quotes to search for the text"


def parse_filter(scan: Scanner) -> Filter:
    """Read a filter up to a pipe, a closing bracket or the end."""
    parts = [_conjunction(scan)]
    while scan.take("||") or scan.keyword("or"):
        parts.append(_conjunction(scan))
    return disjunction(parts)


def _conjunction(scan: Scanner) -> Filter:
    parts = [_negation(scan)]
    while True:
        if scan.take("&&") or scan.keyword("and"):
            parts.append(_negation(scan))
            continue
        scan.skip()
        if scan.rest in ("", ")", "|") or _peek_keyword(scan, "or"):
            return conjunction(parts)
        parts.append(_negation(scan))


def _peek_keyword(scan: Scanner, word: str) -> bool:
    before = scan.position
    found = scan.keyword(word)
    scan.position = before
    return found is not None


def _deeper(scan: Scanner) -> None:
    scan.depth += 1
    if scan.depth > QUERY_DEPTH_MAX:
        scan.fail(f"more than {QUERY_DEPTH_MAX} levels of brackets and 'not'", cure="write the query flatter")


def _negation(scan: Scanner) -> Filter:
    scan.skip()
    negative = scan.keyword("not")
    if negative is None and scan.rest not in ("-", "!"):
        # "not(" is a keyword too, although "or(" and "and(" stand between filters.
        negative = "not" if re.compile(r"not(?=\()", re.IGNORECASE).match(scan.text, scan.position) else None
        if negative is None:
            return _primary(scan)
        scan.position += 3
    elif negative is None:
        scan.position += 1
    _deeper(scan)
    inner = _negation(scan)
    scan.depth -= 1
    return Not(inner)


def _primary(scan: Scanner) -> Filter:
    scan.skip()
    start = scan.position
    if scan.take("("):
        _deeper(scan)
        inner = parse_filter(scan)
        scan.expect(")", " to close the bracket")
        scan.depth -= 1
        return inner
    if scan.rest == "/":
        return Field("message", _regex(scan))
    if scan.rest == '"':
        text = scan.string()
        return _after_name(scan, text, start) or Field("message", _phrase(scan, text, start))
    if _peek_keyword(scan, "or") or _peek_keyword(scan, "and"):
        scan.fail("expected a filter before this word", cure='write "or" or "and" in quotes to search for it')
    word = scan.match(_WORD)
    if word is None:
        scan.fail(f"expected a word, a phrase or a field, found {scan.found}", cure=_cure(scan))
    return _after_name(scan, word, start) or _bare(scan, word, start)


def _cure(scan: Scanner) -> str:
    if scan.rest in ("", ")", "|"):
        return "write * for every record"
    return _QUOTE


def _bare(scan: Scanner, word: str, start: int) -> Filter:
    if word == "*":
        return Everything()
    if scan.rest == "(":
        scan.fail("a bracket may not follow a word directly", cure=f"put a space between, or {_QUOTE}")
    if scan.rest in (",", "[", "]", ":"):
        scan.fail(f"{scan.found} is not expected here", cure=f'{_QUOTE}, as in "{word}{scan.rest}..."')
    return Field("message", _word(word))


def _word(word: str) -> Value:
    return Wildcard(word) if "*" in word or "?" in word else Phrase(word)


def _phrase(scan: Scanner, text: str, start: int) -> Phrase:
    if not text:
        scan.fail("an empty text is in every record", start, cure='write field:="" for a value that is empty')
    return Phrase(text)


def _after_name(scan: Scanner, name: str, start: int) -> Filter | None:
    """Read what makes the text before it the name of a field; None when nothing does."""
    here = scan.position
    if scan.rest == ":":
        scan.position += 1
        if scan.text[start] != '"' and _NUMBER_NAME.fullmatch(name):
            scan.fail(f"'{name}' is read as a field's name here", start, cure=_QUOTE)
        _check_name(scan, name, start)
        if not scan.rest or scan.rest.isspace():
            scan.fail(f"expected a value directly after '{name}:'", cure=_QUOTE)
        return _value(scan, name)
    scan.skip()
    if _COMPARISON.match(scan.text, scan.position):
        if name.endswith("!") and scan.text[start] != '"' and scan.rest == "=":
            scan.fail("!= is not a comparison", here - 1, cure=f"write not {name[:-1]}:=value")
        _check_name(scan, name, start)
        if name == "*":
            scan.fail("a comparison needs the name of a field", start, cure="write *:=text for an exact value anywhere")
        return _compare(scan, name)
    scan.position = here
    return None


def _check_name(scan: Scanner, name: str, start: int) -> None:
    if not name or (name != "*" and scan.text[start] != '"' and ("*" in name or "?" in name)):
        scan.fail(f"'{name}' is not the name of a field", start, cure="write *:value to search every field")


def _value(scan: Scanner, name: str) -> Filter:
    """Read the value behind ``name:``."""
    start = scan.position
    if scan.take("("):
        _deeper(scan)
        parts = [_listed_value(scan, name)]
        while scan.take("||") or scan.keyword("or"):
            parts.append(_listed_value(scan, name))
        scan.expect(")", " or 'or' in the list of values")
        scan.depth -= 1
        return _levels_joined(parts) if name == "level" else disjunction(parts)
    if scan.rest == "[":
        return _range(scan, name)
    if _COMPARISON.match(scan.text, scan.position):
        return _compare(scan, name)
    if scan.text[start : start + 3].lower() == "in(":
        return _in(scan, name)
    if scan.rest == "/":
        return _made(scan, name, _regex(scan), start)
    if scan.rest == '"':
        text = scan.string()
        return _made(scan, name, Phrase(text) if name in _TIMES else _phrase(scan, text, start), start)
    word = scan.match(_VALUE_WORD)
    if word is None:
        scan.fail(f"expected a value, found {scan.found}", cure='write a word, a "phrase", /regex/, [a TO b] or *')
    if scan.rest in ("(", "[", ",", "=") and not (scan.rest == "," and scan.depth):
        scan.fail(f"{scan.found} is not expected here", cure=_QUOTE)
    if word == "*":
        return _existing(name)
    return _made(scan, name, _word(word), start)


def _listed_value(scan: Scanner, name: str) -> Filter:
    scan.skip()
    return _value(scan, name)


def _existing(name: str) -> Filter:
    if name == "*":
        return Everything()
    if name == "level":
        return Levels(PRESENT)
    return Times(name) if name in _TIMES else Field(name, Exists())


def _made(scan: Scanner, name: str, value: Value, start: int) -> Filter:
    """Return the filter of a value; for levels and times it is understood here."""
    if name == "*":
        return Everywhere(value)
    if name == "level":
        return _levels(scan, value, start)
    if name in _TIMES:
        if not isinstance(value, Phrase):
            scan.fail("a time is neither a pattern nor a number here", start, cure="write time:5m or time:[a TO b]")
        return Times(name, *_span(scan, value.text, start, duration=True))
    return Field(name, value)


# -- comparisons and ranges ------------------------------------------------------------------------------------


def _scalar(scan: Scanner, what: str) -> tuple[str, int]:
    scan.skip()
    start = scan.position
    if scan.rest == '"':
        return scan.string(), start
    word = scan.match(_SCALAR)
    if word is None:
        scan.fail(f"expected {what}, found {scan.found}")
    return word, start


def _compare(scan: Scanner, name: str) -> Filter:
    sign_at = scan.position
    sign = scan.match(_COMPARISON) or ""
    text, start = _scalar(scan, f"a value after {sign}")
    if sign in ("=", "=="):
        if name == "level":
            return _levels(scan, Phrase(text), start)
        if name in _TIMES:
            return Times(name, *_span(scan, text, start))
        return _made(scan, name, Equal((text,)), start)
    if name == "*":
        scan.fail("a comparison needs the name of a field", sign_at, cure="name the field, as in status:>=500")
    if name == "level":
        return _compared_levels(scan, sign, text, start)
    if name in _TIMES:
        return _compared_times(scan, name, sign, text, start)
    number = _number(scan, text, start)
    if sign[0] == ">":
        return Field(name, Range(low=number, low_open=sign == ">"))
    return Field(name, Range(high=number, high_open=sign == "<"))


def _number(scan: Scanner, text: str, start: int) -> float:
    if not _NUMBER.match(text) or not math.isfinite(float(text)):
        scan.fail(f"'{text}' is not a number", start, cure="> >= < <= and [a TO b] compare numbers, levels and times")
    return float(text) + 0.0  # no negative zero, which is written differently


def _in(scan: Scanner, name: str) -> Filter:
    scan.position += 3
    start = scan.position
    texts = [_scalar(scan, "a value")]
    while scan.take(","):
        texts.append(_scalar(scan, "a value"))
    scan.expect(")", " or ',' in the list of values")
    if name == "level":
        return _levels_joined([_levels(scan, Phrase(text), at) for text, at in texts])
    if name in _TIMES:
        return disjunction([Times(name, *_span(scan, text, at)) for text, at in texts])
    return _made(scan, name, Equal(tuple(text for text, _ in texts)), start)


def _range(scan: Scanner, name: str) -> Filter:
    start = scan.position
    scan.expect("[")
    low, low_at = _scalar(scan, "where the range begins")
    if scan.keyword("to") is None:
        scan.fail(f"expected TO, found {scan.found}", cure="write [a TO b]")
    high, high_at = _scalar(scan, "where the range ends")
    scan.expect("]", " to close the range")
    if name == "*":
        scan.fail("a range needs the name of a field", start, cure="name the field, as in status:[500 TO 599]")
    if name == "level":
        first = 1 if low == "*" else _level(scan, low, low_at)
        last = 6 if high == "*" else _level(scan, high, high_at)
        levels: Filter = _some_levels(scan, [first <= code <= last for code in range(1, 7)], start)
        return levels
    if name in _TIMES:
        first_ns = TIME_MIN_NS if low == "*" else _span(scan, low, low_at)[0]
        last_ns = TIME_MAX_NS if high == "*" else _span(scan, high, high_at)[1]
        _ordered(scan, first_ns, last_ns, start)
        return Times(name, first_ns, last_ns)
    begin = -math.inf if low == "*" else _number(scan, low, low_at)
    end = math.inf if high == "*" else _number(scan, high, high_at)
    _ordered(scan, begin, end, start)
    return Field(name, Range(begin, end))


def _ordered(scan: Scanner, low: float, high: float, start: int) -> None:
    if low > high:
        scan.fail("this range ends before it begins", start, cure="write the smaller end first")


# -- levels, times, regular expressions ------------------------------------------------------------------------


def _levels(scan: Scanner, value: Value, start: int) -> Levels:
    if isinstance(value, Phrase):
        wanted = _level(scan, value.text, start)
        return Levels(frozenset({ALIASES[LEVEL_NAMES[wanted] or ""]}))
    return _some_levels(scan, value.mask(pa.array(LEVEL_NAMES[1:], pa.string())).tolist(), start)


def _levels_joined(parts: list[Filter]) -> Levels:
    return Levels(frozenset().union(*(part.levels for part in parts if isinstance(part, Levels))))


def _some_levels(scan: Scanner, wanted: list[bool], start: int) -> Levels:
    levels = frozenset(level for level in PRESENT if wanted[level - 1])
    if not levels:
        scan.fail("no level is meant by this", start, cure=_LEVEL_CURE)
    return Levels(levels)


_LEVEL_CURE = "the levels are trace debug info warn error fatal"


def _level(scan: Scanner, text: str, start: int) -> int:
    level = ALIASES.get(text.lower())
    if level is None:
        scan.fail(f"'{text}' is not a level", start, cure=_LEVEL_CURE)
    return int(level)


def _compared_levels(scan: Scanner, sign: str, text: str, start: int) -> Filter:
    level = _level(scan, text, start)
    wanted = {
        ">": [code > level for code in range(1, 7)],
        ">=": [code >= level for code in range(1, 7)],
        "<": [code < level for code in range(1, 7)],
        "<=": [code <= level for code in range(1, 7)],
    }[sign]
    return _some_levels(scan, wanted, start)


def _span(scan: Scanner, text: str, start: int, *, duration: bool = False) -> tuple[int, int]:
    """Return the span of a time; with ``duration``, one like ``5m`` goes on until ever: new records are in it."""
    try:
        first_ns, last_ns = parse_span(text, scan.now_ns)
    except QueryError as error:
        scan.fail(error.message, start, cure=error.cure)
    if duration and text[:1].isdigit() and text[-1:].isalpha() and text[-1:] not in "Zz":
        last_ns = TIME_MAX_NS
    return first_ns, last_ns


def _compared_times(scan: Scanner, name: str, sign: str, text: str, start: int) -> Filter:
    first_ns, last_ns = _span(scan, text, start)
    if sign[0] == ">":
        return Times(name, first_ns=first_ns if sign == ">=" else last_ns + 1)
    return Times(name, last_ns=last_ns if sign == "<=" else first_ns - 1)


def _regex(scan: Scanner) -> Regex:
    start = scan.position
    found = _REGEX.match(scan.text, start)
    slashes = 'write "/path/to" in quotes to search for text with slashes'
    if found is None:
        scan.fail("this regular expression is not closed, or empty", cure=slashes)
    scan.position = found.end()
    if scan.rest and not scan.rest.isspace() and scan.rest not in "),|":
        scan.fail("expected a space after the regular expression", cure=slashes)
    try:
        pc.match_substring_regex(pa.array([""], pa.string()), found[1])
    except pa.ArrowInvalid as error:
        reason = str(error).partition(": ")[2] or str(error)
        cure = "RE2 has no look-around and no back-references: combine filters with 'and' and 'not' instead"
        scan.fail(f"RE2 does not take this: {reason}", start, cure=cure)
    return Regex(found[1], found[2] == "i")
