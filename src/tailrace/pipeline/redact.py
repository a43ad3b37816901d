r"""redact: secrets are masked before anything touches a disk, and counted by rule.

Purpose: what people did not mean to log (``redact_rules``, and rules of their own) is not kept: not in the message, not
in the fields, not in the trace id. ``raw_base64``, the original of a line, goes from a row in which anything was
masked. Labels and the names of fields are not touched.

How: (1) the texts of a column are joined, and one pass of one pattern, the triggers of all rules, finds the rows in
which anything can be: 2 to 3 ns for a byte, and about 2 us for each such row. (2) These rows are joined again, and
each rule runs over all of them at once. (3) What overlaps is one secret. Fields are read as JSON only in rows that (1)
found; their texts and numbers are masked as texts, below a key such as ``password`` whole.

Why (1) misses nothing in JSON text: a text without escapes stands in it as it is, between quotes, which are as good a
boundary as the end of a text. A row with a backslash in its fields is always read, and every row is when a rule of
one's own says ``^`` or ``$``.

Pure. A ``Redactor`` has no state but a memory of keys, which threads may share.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import re2

from tailrace.api import suggestion
from tailrace.errors import ConfigError
from tailrace.limits import REDACT_KEYS_MAX, REDACT_PATTERN_BYTES_MAX, REDACT_RULES_MAX
from tailrace.lines import Mask
from tailrace.pipeline.redact_rules import GROUPS, RULES, Rule
from tailrace.record import SCHEMA, Batch

_BETWEEN = b"\n\xff\n"
_LINES = "(?m)"
_RAW = "raw_base64"
_NAME = re.compile(r"[A-Za-z][\w-]*\Z")
_GROUP = re.compile(r"\{(\w+)\}")
_ANCHOR = re.compile(r"[\^$]")
_WHOLE_TEXT = re.compile(r"\\[AzC]|\(\?[a-zA-Z]*-[a-zA-Z]*m")


def own_rule(mask: Mask) -> Rule:
    """Return the rule that a person wrote. Raises ConfigError with what is wrong with it."""
    what, pattern = f"redact rule {mask.name!r}", mask.pattern
    if not _NAME.match(mask.name) or mask.name in GROUPS or any(mask.name == rule.name for rule in RULES):
        raise ConfigError(f"{what}: the name is taken, or no name", cure="Letters, digits, - and _; one of its own.")
    if len(pattern.encode()) > REDACT_PATTERN_BYTES_MAX:
        raise ConfigError(f"{what}: longer than {REDACT_PATTERN_BYTES_MAX} bytes", cure="Make two rules of it.")
    if _WHOLE_TEXT.search(pattern):
        raise ConfigError(f"{what}: \\A \\z \\C and (?-m) mean nothing here", cure="Write ^ and $: the ends of a line.")
    ready = _ready(what, f"(?:{pattern})")
    if ready.search(b""):
        raise ConfigError(f"{what}: it matches nothing at all, so everywhere", cure="Let it need a character.")
    if (mask.keep is None) == (not mask.template):
        raise ConfigError(f"{what}: needs one of keep and template", cure='keep = [2, 2] or template = "{name}=***".')
    if mask.keep is not None and (len(mask.keep) != 2 or min(mask.keep) < 0):
        raise ConfigError(f"{what}: keep is two numbers from 0 on", cure="keep = [2, 2] keeps two at each end.")
    unknown = set(_GROUP.findall(mask.template)) - {group.decode() for group in ready.groupindex}
    if unknown:
        name = min(unknown)
        raise ConfigError(f"{what}: the pattern has no group {name!r}", cure=f"Write (?P<{name}>...) in the pattern.")
    return Rule(mask.name, "own", f"(?:{pattern})", f"(?:{pattern})", mask.keep, mask.template, field=mask.field)


def rules_of(wanted: Sequence[str | Mask]) -> tuple[Rule, ...]:
    """Return the rules that these names of groups and rules, and rules of one's own, mean. Raises ConfigError."""
    own = {mask.name: own_rule(mask) for mask in wanted if isinstance(mask, Mask)}
    names = {name for name in wanted if isinstance(name, str)}
    known = {*GROUPS, *(rule.name for rule in RULES)}
    for name in sorted(names - known):
        raise ConfigError(f"there is nothing called {name!r} to redact", cure=suggestion(name, sorted(known)))
    if len(own) < sum(isinstance(one, Mask) for one in wanted):
        raise ConfigError("two redact rules have one name", cure="Give each its own.")
    if len(own) > REDACT_RULES_MAX:
        raise ConfigError(f"more than {REDACT_RULES_MAX} redact rules of one's own", cure="Join some with |.")
    return (*own.values(), *(rule for rule in RULES if rule.name in names or rule.group in names))


def _ready(what: str, pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile((_LINES + pattern).encode(), options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ConfigError(f"{what}: RE2 does not take this: {reason}", cure="RE2 has no look-around.") from error


@lru_cache(maxsize=64)
def redactor(wanted: tuple[str | Mask, ...]) -> Redactor:
    """Return the one redactor of these rules."""
    return Redactor(rules_of(wanted))


class Redactor:
    """Masks what its rules find."""

    def __init__(self, rules: Sequence[Rule], *, marks: tuple[str, str] = ("", "")) -> None:
        """Make the patterns ready. ``marks`` stand around everything that was masked: for a preview."""
        self._rules = tuple((rule, _ready(rule.name, rule.pattern)) for rule in rules)
        self._keyed = tuple((rule, _ready(rule.name, rule.trigger)) for rule in rules if rule.keyed)
        self._marks = marks
        self._owners: dict[str, Rule | None] = {}
        self._every_field = any(rule.group == "own" and _ANCHOR.search(rule.pattern) for rule in rules)
        triggers = "|".join(f"(?:{rule.trigger})" for rule in rules)
        self._trigger = _trigger(triggers)
        self._field_trigger = _trigger(rf"(?:{triggers})|\\")

    def apply(self, batch: Batch, counts: Counter[str]) -> Batch:
        """Return the batch with what is secret masked, the same batch when nothing is; ``counts`` grows by rule."""
        if not self._rules or not len(batch):
            return batch
        changed: dict[str, dict[int, bytes | None]] = {}
        for name in ("message", "trace_id"):
            changed[name] = self._column(name, batch.array(name), counts)
        masked = changed["message"].keys() | changed["trace_id"].keys()
        changed["fields"] = self._fields(batch.array("fields"), masked, counts)
        columns = batch.columns
        for name, texts in changed.items():
            if texts:
                place = SCHEMA.get_field_index(name)
                columns = columns.set_column(place, SCHEMA.field(place), _replaced(columns[name], texts))
        return batch if columns is batch.columns else Batch(columns, origins=batch.origins)

    def _column(self, name: str, array: pa.Array, counts: Counter[str]) -> dict[int, bytes | None]:
        rows = _rows(self._trigger, array)
        texts = array.take(pa.array(rows, pa.int64())).cast(pa.binary()).to_pylist()
        return {rows[place]: text for place, text in self._masked(texts, [name] * len(texts), counts).items()}

    def _fields(self, array: pa.Array, masked: set[int], counts: Counter[str]) -> dict[int, bytes | None]:
        """Mask the texts of JSON objects; the original goes from those, and from rows that are ``masked`` already."""
        if array.null_count == len(array):
            return {}
        rows = array.is_valid().to_numpy(False).nonzero()[0].tolist() if self._every_field else None
        rows = _rows(self._field_trigger, array) if rows is None else rows
        leaves = _Leaves(self._owner, self._marks)
        objects: dict[int, Any] = {}
        # A Python loop over the few rows in which something may be secret (or all, with ^ or $): JSON has no columns.
        for row, text in zip(rows, array.take(pa.array(rows, pa.int64())).to_pylist(), strict=True):
            objects[row] = orjson.loads(text)
            leaves.of(objects[row], row)
        changed = {row for row, _ in leaves.claimed}
        counts.update(rule.name for _, rule in leaves.claimed)
        for place, text in self._masked(leaves.texts, leaves.names, counts).items():
            container, key, row = leaves.places[place]
            container[key] = text.decode()
            changed.add(row)
        for row in masked - changed:
            text = array[row].as_py()
            if text is not None and f'"{_RAW}":' in text:
                objects[row] = orjson.loads(text)
                changed.add(row)
        for row in changed:
            objects[row].pop(_RAW, None)
        return {row: orjson.dumps(objects[row]) if objects[row] else None for row in changed}

    def _owner(self, key: str) -> Rule | None:
        """Return the rule whose name a key of JSON is."""
        if key not in self._owners:
            if len(self._owners) >= REDACT_KEYS_MAX:
                self._owners.clear()
            text = key.encode() + b"="
            self._owners[key] = next((rule for rule, ready in self._keyed if ready.search(text)), None)
        return self._owners[key]

    def _masked(self, texts: list[bytes], names: list[str], counts: Counter[str]) -> dict[int, bytes]:
        """Return the texts in which something was masked, by their index. ``names`` are the fields they are from."""
        if not texts:
            return {}
        joined = _joined(texts)
        starts = _starts(pa.array(texts, pa.binary()))
        found: list[_Found] = []
        for order, (rule, ready) in enumerate(self._rules):
            groups = range(0 if rule.template else 1, ready.groups + 1)
            # A Python loop over what was found, not over lines: about 3 us each.
            for match in ready.finditer(joined):
                group = next((number for number in groups if match.start(number) >= 0), 0)
                for first, last in rule.pieces(joined, *match.span(group)):
                    place = bisect_right(starts, first + 1) - 1  # a line end before a text is not of the text
                    start, end = max(first, starts[place]), min(last, starts[place] + len(texts[place]))
                    if start < end and rule.field in ("", names[place]):
                        found.append(_Found(start, end, order, place, match))
        merged = _merged(found)
        counts.update(self._rules[one.rule][0].name for one in merged)
        return self._written(texts, joined, starts, merged)

    def _written(self, texts: list[bytes], joined: bytes, starts: list[int], found: list[_Found]) -> dict[int, bytes]:
        parts: dict[int, list[bytes]] = {}
        ends: dict[int, int] = {}
        before, behind = self._marks[0].encode(), self._marks[1].encode()
        for one in found:
            rule = self._rules[one.rule][0]
            text = joined[ends.get(one.place, starts[one.place]) : one.start]
            stand_in = _stand_in(rule, joined[one.start : one.end], one.match)
            parts.setdefault(one.place, []).extend((text, before, stand_in, behind))
            ends[one.place] = one.end
        for place, part in parts.items():
            part.append(joined[ends[place] : starts[place] + len(texts[place])])
        return {place: b"".join(part) for place, part in parts.items()}


class _Found(NamedTuple):
    """What the rule with this number found in the text with this number: joined[start:end]."""

    start: int
    end: int
    rule: int
    place: int
    match: Any


class _Leaves:
    """The texts and numbers of JSON objects, with the place of each; what a key claims is masked at once."""

    def __init__(self, owner: Callable[[str], Rule | None], marks: tuple[str, str]) -> None:
        self._owner = owner
        self._marks = marks
        self.texts: list[bytes] = []
        self.names: list[str] = []
        self.places: list[tuple[Any, Any, int]] = []
        self.claimed: list[tuple[int, Rule]] = []

    def of(self, value: Any, row: int, path: str = "", owner: Rule | None = None) -> None:
        """Take a list or an object of one row apart."""
        below = enumerate(value) if isinstance(value, list) else list(value.items())
        for key, one in below:
            name, claims = path, owner
            if isinstance(key, str):
                name = f"{path}.{key}" if path else key
                claims = owner or self._owner(key)
            if isinstance(one, dict | list):
                self.of(one, row, name, claims)
            elif one is None or isinstance(one, bool) or name == _RAW:
                continue
            else:
                self._leaf((value, key, row), name, claims)

    def _leaf(self, place: tuple[Any, Any, int], name: str, owner: Rule | None) -> None:
        container, key, row = place
        one = container[key]
        text = one.encode() if isinstance(one, str) else orjson.dumps(one)
        if owner is None:
            self.texts.append(text)
            self.names.append(name)
            self.places.append(place)
        elif list(owner.pieces(text, 0, len(text))):
            container[key] = owner.replacement.join(self._marks)
            self.claimed.append((row, owner))


def _trigger(pattern: str) -> Any:
    options = re2.Options()
    options.never_capture = True
    return re2.compile((_LINES + pattern).encode(), options)


def _joined(texts: Sequence[bytes]) -> bytes:
    """Return the texts in one, each with a line end before and behind it."""
    return b"\n" + _BETWEEN.join(texts) + b"\n"


def _starts(texts: pa.Array) -> list[int]:
    """Return where in ``_joined`` each text begins."""
    lengths = pc.fill_null(pc.binary_length(texts), 0).to_numpy().astype(np.int64) + len(_BETWEEN)
    return (np.cumsum(lengths) - lengths + 1).tolist()


def _rows(trigger: Any, array: pa.Array) -> list[int]:
    """Return the rows in which the trigger is found."""
    if array.null_count == len(array):
        return []
    joined = _joined(array.cast(pa.binary()).fill_null(b"").to_pylist())
    match = trigger.search(joined)
    if match is None:
        return []
    starts = _starts(array)
    rows: list[int] = []
    while match is not None:
        row = max(bisect_right(starts, match.start() + 1) - 1, 0)
        rows.append(row)
        # A row is looked at once: on from the line end before the next.
        match = trigger.search(joined, starts[row + 1] - 1) if row + 1 < len(starts) else None
    return rows


def _merged(found: list[_Found]) -> list[_Found]:
    """Return them in order and without overlaps; without its match, so nothing of it is kept, where several met."""
    merged: list[_Found] = []
    for one in sorted(found, key=lambda one: (one.start, -one.end, one.rule)):
        last = merged[-1] if merged else one
        if not merged or one.start >= last.end:
            merged.append(one)
        elif (one.start, one.end) != (last.start, last.end):
            merged[-1] = last._replace(end=max(last.end, one.end), match=None)
    return merged


def _stand_in(rule: Rule, secret: bytes, match: Any) -> bytes:
    """Return what stands for a secret; ``match`` is None for one that several rules found parts of."""
    if match is None:
        return f"[redacted:{rule.name}]".encode()
    if rule.keep is not None:
        text = secret.decode()
        head, tail = rule.keep
        hidden = len(text) - head - tail
        return (text[:head] + "*" * hidden + text[len(text) - tail :] if hidden > 0 else "*" * len(text)).encode()
    return _GROUP.sub(lambda group: (match[group[1].encode()] or b"").decode(), rule.replacement).encode()


def _replaced(array: pa.Array, texts: dict[int, bytes | None]) -> pa.Array:
    mask = np.zeros(len(array), bool)
    rows = sorted(texts)
    mask[rows] = True
    return pc.replace_with_mask(
        array, pa.array(mask), pa.array([texts[row] for row in rows], pa.binary()).cast(pa.string())
    )
