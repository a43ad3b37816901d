"""format: what an entry says about how its lines are written; what it leaves open is found out from the lines.

``format`` is ``plain`` (nothing is read from the lines), ``json``, ``logfmt``, ``w3c``, ``cri`` or ``docker`` (the
envelope; what is inside is found out), the name of a text layout, or a pattern of one's own (pattern.py). ``zone`` is
the IANA name of the zone of times that name none.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from tailrace.errors import ConfigError
from tailrace.pipeline import layouts
from tailrace.pipeline.parse_text import Layout
from tailrace.pipeline.pattern import Pattern, compiled, is_pattern
from tailrace.pipeline.unwrap import ENVELOPES

PLAIN, JSON, LOGFMT, W3C = "plain", "json", "logfmt", "w3c"
WORDS = (PLAIN, JSON, LOGFMT, W3C, *ENVELOPES)


@dataclass(frozen=True, slots=True)
class Format:
    """What is known of a format beforehand; None and empty: found out. ``envelopes`` are those that are looked for."""

    layout: Layout | Pattern | str | None = None
    envelope: str = ""
    envelopes: tuple[str, ...] = ENVELOPES


@lru_cache(maxsize=256)
def format_of(text: str) -> Format:
    """Return what ``format`` says. Raises ConfigError for a name that is unknown or a pattern that is wrong."""
    if not text:
        return Format()
    if is_pattern(text):
        return Format(compiled(text))
    if text in ENVELOPES:
        return Format(envelope=text)
    if text == JSON:
        return Format(JSON, envelopes=("cri",))
    if text in WORDS:
        return Format(text, envelopes=() if text == PLAIN else ENVELOPES)
    if text in layouts.NAMES:
        return Format(layouts.NAMES[text])
    near = difflib.get_close_matches(text.lower(), [*WORDS, *layouts.NAMES], 1)
    cure = f"did you mean {near[0]!r}?" if near else "the names are in docs/reference/layouts.md"
    raise ConfigError(
        f"there is no format called {text!r}", cure=f"{cure} A pattern has %{{NAME:field}} or (?P<field>...)"
    )


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo | None:
    """Return the zone of this IANA name, None without a name. Raises ConfigError when there is none."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        near = difflib.get_close_matches(name, available_timezones(), 1)
        cure = f"did you mean {near[0]!r}?" if near else "an IANA name, such as 'Europe/Berlin' or 'Asia/Shanghai'"
        raise ConfigError(f"there is no time zone called {name!r}", cure=cure) from None
