"""The entries of a configuration: what a person wishes to be followed, and what is done with its lines.

A wish is one ``[[collect.entries]]`` of the file. ``entry_of`` makes of it what the source of files follows, and is the
only place that knows both; ``check`` says what is wrong with it, by its place; ``look`` tells which files it finds now.
When several entries find one file, the first of them has it.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated

import msgspec
import re2
from msgspec import Meta, Struct

from tailrace import lines
from tailrace.api import suggestion
from tailrace.errors import ConfigError
from tailrace.limits import CHECK_FILES_MAX, ENTRIES_MAX, LABEL_BYTES_MAX, LABELS_MAX
from tailrace.lines import Mask, Steps
from tailrace.pipeline import join, sample
from tailrace.pipeline.decode import encoding_of
from tailrace.pipeline.drop import condition
from tailrace.pipeline.format import format_of, zone_of
from tailrace.pipeline.label import pattern_of
from tailrace.pipeline.level import known_levels
from tailrace.pipeline.redact import own_rule, rules_of
from tailrace.sources.content import is_text
from tailrace.sources.entry import UNREADABLE, Entry, start_offset
from tailrace.sources.globs import Fence, fits

_OWN_LABELS = ("host", "path")


class Multiline(Struct, forbid_unknown_fields=True, rename={"continue_": "continue"}):
    """How lines become events: a line that fits ``start`` begins one, or one that fits ``continue`` belongs to it."""

    start: str = ""
    continue_: str = ""


class Sample(Struct, forbid_unknown_fields=True):
    """Keep one of ``one_in`` of the lines that match the query ``where``."""

    one_in: Annotated[int, Meta(ge=1)]
    where: str = "*"


class Rule(Struct, forbid_unknown_fields=True):
    """A rule of redaction: what fits ``pattern`` is masked but for ``keep``, or replaced by ``template``."""

    pattern: Annotated[str, Meta(description="What is masked: an expression of RE2.")]
    keep: Annotated[
        list[Annotated[int, Meta(ge=0)]] | None,
        Meta(description="So many characters stay visible at the head and at the tail, like `[3, 4]`."),
    ] = None
    template: Annotated[
        str | None, Meta(description="What stands there instead; `{name}` is the group `(?P<name>...)` of the pattern.")
    ] = None
    field: Annotated[str, Meta(description="Only in this field. Empty: in the message and in all of them.")] = ""


class Wish(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One entry of the file."""

    path: Annotated[
        str, Meta(description="A file, a directory with all text files below it, or a glob (`**` goes down).")
    ]
    exclude: Annotated[
        list[str], Meta(description="Patterns of paths that are left out; one without a slash is that of a name.")
    ] = []
    start: Annotated[
        str, Meta(description="Where files begin that are there at first: `beginning`, `end` or a size like `10MB`.")
    ] = ""
    labels: Annotated[dict[str, str], Meta(description='Labels of its lines, like `{ service = "shop" }`.')] = {}
    encoding: Annotated[str, Meta(description="Of the bytes, like `gb18030`. Empty: UTF-8, or what a BOM says.")] = ""
    format: Annotated[str, Meta(description="How lines are written. Empty: found out from the first of them.")] = ""
    zone: Annotated[str, Meta(description="Of times that name none, like `Asia/Shanghai`. Empty: the machine's.")] = ""
    multiline: Annotated[
        str | Multiline, Meta(description="`auto`, `off`, `{ start = RE }` or `{ continue = RE }`.")
    ] = "auto"
    levels: Annotated[
        dict[str, str], Meta(description='Words in a line and the level each means, like `{ NOTICE = "warn" }`.')
    ] = {}
    level_field: Annotated[str, Meta(description="The name of the field that holds the level.")] = ""
    labels_from: Annotated[
        str, Meta(description="A pattern (RE2) on the path: its named groups are labels, `/(?P<team>[^/]+)/app/`.")
    ] = ""
    topic: Annotated[str, Meta(description="The topic of Kafka that its lines are shipped to; a label of them.")] = ""
    redact: Annotated[
        list[str] | None,
        Meta(description="What is masked of its lines, instead of what `collect.redact` says; `[]`: nothing."),
    ] = None
    drop: Annotated[str, Meta(description="A query: lines that match it are not kept.")] = ""
    sample: Annotated[Sample | None, Meta(description="`{ where = QUERY, one_in = 10 }`: only one of ten is kept.")] = (
        None
    )


def known(table: object, kind: type[Struct], place: str) -> None:
    """Raise ConfigError for a key of an entry or a rule that nobody knows, with what was probably meant."""
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    for key in table if isinstance(table, dict) else ():
        if key not in names:
            raise ConfigError(f"there is no key {place}.{str(key)[:80]}", cure=suggestion(str(key), names))


def check(wishes: Sequence[Wish], rules: Mapping[str, Rule], redact: Sequence[str] = ()) -> None:
    """Raise ConfigError for a value that has the right type and no meaning; it names the place of the value."""
    if len(wishes) > ENTRIES_MAX:
        raise ConfigError(f"collect.entries: there are {len(wishes)}", cure=f"At most {ENTRIES_MAX}: write globs.")
    for name, rule in rules.items():
        try:
            own_rule(_mask(name, rule))
        except ConfigError as error:
            raise ConfigError(f"collect.rules.{name}: {error.message}", cure=error.cure) from error
    try:
        rules_of(masks(redact, rules))
    except ConfigError as error:
        raise _Place("collect").fault("redact", error.message, error.cure) from error
    for number, wish in enumerate(wishes):
        place = _Place(f"collect.entries[{number}]", wish.path)
        if not wish.path.strip() or "\0" in wish.path:
            raise place.fault("path", "there is none", "Name a file, a directory or a glob.")
        _check_files(wish, place)
        multiline = wish.multiline
        if not isinstance(multiline, str) and bool(multiline.start) == bool(multiline.continue_):
            raise place.fault("multiline", "either start or continue", 'Like { start = "^\\d{4}-" }.')
        steps = steps_of(wish, rules)
        for key, verb in _VERBS.items():
            try:
                verb(steps)
            except ConfigError as error:
                raise place.fault(key, error.message.removeprefix(f"{key}: "), error.cure) from error


_VERBS: dict[str, Callable[[Steps], object]] = {
    "encoding": lambda steps: encoding_of(steps.encoding),
    "multiline": join.check,
    "format": lambda steps: format_of(steps.format),
    "zone": lambda steps: zone_of(steps.zone),
    "levels": known_levels,
    "labels_from": lambda steps: steps.labels_from and pattern_of(steps.labels_from),
    "drop": lambda steps: steps.drop and condition(steps.drop, "drop"),
    "sample": lambda steps: steps.sample and sample.check(steps.sample),
    "redact": lambda steps: rules_of(steps.redact),
}
"""How each key is checked that says what is done with lines: by the verb that will do it."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the file something stands."""

    name: str
    path: str = ""

    def fault(self, key: str, what: object, cure: str) -> ConfigError:
        """Return the error of the value of a key."""
        return ConfigError(f"{self.name}.{key}: {what}{f' (the entry of {self.path})' if self.path else ''}", cure=cure)


def _check_files(wish: Wish, place: _Place) -> None:
    try:
        start_offset(wish.start or "beginning", 0)
    except ConfigError as error:
        raise place.fault("start", error.message, error.cure) from error
    for pattern in wish.exclude:
        try:
            fits((pattern,), "/")
        except re2.error as error:
            raise place.fault("exclude", f"{pattern!r} is no pattern of paths", "[a-z] is one character.") from error
    if len(wish.labels) > LABELS_MAX:
        raise place.fault("labels", f"there are {len(wish.labels)}", f"At most {LABELS_MAX}.")
    for name, value in wish.labels.items():
        if name in _OWN_LABELS:
            raise place.fault(
                f"labels.{name}", "this label is given by Tailrace", "collect.host sets that of the host."
            )
        if not name or max(len(name.encode()), len(value.encode())) > LABEL_BYTES_MAX:
            raise place.fault(f"labels.{name[:80]}", "empty or too long", f"At most {LABEL_BYTES_MAX} bytes.")


def steps_of(wish: Wish, rules: Mapping[str, Rule], redact: Sequence[str] = ()) -> Steps:
    """Return what the pipeline is to do: the one place where the keys of an entry become steps.

    ``redact`` is masked where the entry does not say what is.
    """
    joined, pattern = wish.multiline, ""
    if not isinstance(joined, str):
        pattern = joined.start or joined.continue_
        joined = "start" if joined.start else "continue"
    return Steps(
        encoding=wish.encoding,
        multiline=joined,
        pattern=pattern,
        format=wish.format,
        zone=wish.zone,
        levels=tuple(wish.levels.items()),
        level_field=wish.level_field,
        labels_from=wish.labels_from,
        drop=wish.drop,
        sample=lines.Sample(wish.sample.where, wish.sample.one_in) if wish.sample else None,
        redact=masks(redact if wish.redact is None else wish.redact, rules),
    )


def masks(names: Sequence[str], rules: Mapping[str, Rule]) -> tuple[str | Mask, ...]:
    """Return what these names mean to the pipeline: rules of one's own as they are written, others by their name."""
    return tuple(_mask(name, rules[name]) if name in rules else name for name in names)


def _mask(name: str, rule: Rule) -> Mask:
    keep = (rule.keep[0], rule.keep[1]) if rule.keep and len(rule.keep) == 2 else None
    return Mask(name, rule.pattern, keep, rule.template or "", rule.field)


def entry_of(
    wish: Wish,
    rules: Mapping[str, Rule],
    *,
    host: str = "",
    exclude: Sequence[str] = (),
    start: str = "",
    redact: Sequence[str] = (),
) -> Entry:
    """Return what to follow, with what holds for all entries."""
    return Entry(
        os.path.expanduser(wish.path),
        wish.start or start or "beginning",
        {**({"host": host} if host else {}), **({"topic": wish.topic} if wish.topic else {}), **wish.labels},
        steps_of(wish, rules, redact),
        tuple(dict.fromkeys(form for pattern in (*wish.exclude, *exclude) for form in _forms(pattern))),
    )


def _forms(pattern: str) -> Iterator[str]:
    """Yield a pattern of exclusion, and what it really means when it names a link."""
    pattern = os.path.expanduser(pattern)
    yield pattern
    if "/" in pattern and not glob.has_magic(pattern):
        yield os.path.realpath(pattern)


def difference(old: Sequence[Entry], new: Sequence[Entry]) -> tuple[list[str], list[str], list[str]]:
    """Return the paths of the entries that were added, removed and changed."""
    before = {entry.path: entry for entry in reversed(old)}
    after = {entry.path: entry for entry in reversed(new)}
    changed = [path for path, entry in after.items() if path in before and before[path] != entry]
    return [path for path in after if path not in before], [path for path in before if path not in after], changed


@dataclass(slots=True)
class Finds:
    """What an entry finds now: (path, bytes) of each file, and of what is left out, path and reason."""

    files: list[tuple[str, int]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    more: bool = False
    overlaps: dict[int, int] = field(default_factory=dict)


def look(entries: Sequence[Entry], fence: Fence) -> list[Finds]:
    """Return what each entry finds now, by the rules by which files are followed.

    ``overlaps`` counts, by the place of an earlier entry, the files that it has.
    """
    taken: dict[tuple[int, int], int] = {}
    found: list[Finds] = []
    for number, entry in enumerate(entries):
        finds = Finds()
        whole = os.path.isdir(entry.path)
        pattern = os.path.join(glob.escape(entry.path), "**") if whole else entry.path
        names = glob.iglob(pattern, recursive=True)
        for path in islice(names, CHECK_FILES_MAX):
            if os.path.isdir(path):
                if not whole and not glob.has_magic(entry.path):
                    finds.left_out.append((path, "a directory"))
                continue
            why, status = _looked_at(path, entry, fence, whole=whole)
            key = (status.st_dev, status.st_ino) if status else (0, 0)
            if why or status is None:
                finds.left_out.append((path, why))
            elif key in taken:
                if taken[key] != number:
                    finds.overlaps[taken[key]] = finds.overlaps.get(taken[key], 0) + 1
            else:
                taken[key] = number
                finds.files.append((path, status.st_size))
        finds.more = next(names, None) is not None
        finds.files.sort()
        found.append(finds)
    return found


def _looked_at(path: str, entry: Entry, fence: Fence, *, whole: bool) -> tuple[str, os.stat_result | None]:
    """Return why a path is left out, and else what it is."""
    real = os.path.realpath(path)
    refused = fence.refuses(real)
    if refused or fits(entry.exclude, path) or fits(entry.exclude, real):
        return refused or "excluded", None
    if path.endswith(UNREADABLE):
        return "compressed in a way that is not read; gzip is", None
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file", None
        with open(path, "rb"):
            binary = whole and not is_text(path)
    except OSError as error:
        return (error.strerror or str(error)).lower(), None
    return ("binary", None) if binary else ("", status)
