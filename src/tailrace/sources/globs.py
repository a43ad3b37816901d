"""Paths against patterns, without looking at the disk: which entry a path belongs to, and what is excluded.

``**`` as a whole part of a path is any number of directories, ``*`` and ``?`` stay within one part, ``[a-z]`` and
``[!a-z]`` are one character, as in Python's ``glob``. A pattern that fits a directory fits all below it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from glob import has_magic

import re2

_PATTERNS_MEMORY = 1024
_KERNEL = ("/proc/", "/sys/", "/dev/")


def fits(patterns: tuple[str, ...], path: str) -> bool:
    """Tell whether one of the patterns fits; one without a slash is compared with the last part of the path only."""
    return bool(patterns) and _compiled(patterns).fullmatch(os.path.abspath(path)) is not None


@lru_cache(maxsize=_PATTERNS_MEMORY)
def _compiled(patterns: tuple[str, ...]) -> re2._Regexp:
    options = re2.Options()
    options.log_errors = False
    whole = [_expression(pattern) for pattern in patterns]
    return re2.compile(f"(?s)(?:{'|'.join(whole)})", options)


def _expression(pattern: str) -> str:
    if "/" not in pattern:
        return f"(?:.*/)?{_part(pattern)}"
    *directories, name = os.path.abspath(pattern).split("/")
    head = "".join("(?:[^/]+/)*" if part == "**" else f"{_part(part)}/" for part in directories)
    return head + (".+" if name == "**" else f"{_part(name)}(?:/.*)?")


def _part(part: str) -> str:
    found = ""
    place = 0
    while place < len(part):
        character = part[place]
        end = part.find("]", place + 2 + (part[place + 1 : place + 2] == "!")) if character == "[" else -1
        if end > 0:
            negated = part[place + 1] == "!"
            inside = part[place + 1 + negated : end].replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
            found += f"[{'^/' if negated else ''}{inside.replace('^', chr(92) + '^')}]"
            place = end
        elif character in "*?":
            found += "[^/]*" if character == "*" else "[^/]"
        else:
            found += re2.escape(character)
        place += 1
    return found


class Index:
    """Finds the first of many patterns that covers a path: itself, or a directory above it."""

    def __init__(self, patterns: Sequence[tuple[str, tuple[str, ...]]]) -> None:
        """``patterns`` are pairs of a pattern and what is excluded from it."""
        self._patterns = patterns
        self._plain: dict[str, list[int]] = {}
        self._magic: list[tuple[int, re2._Regexp]] = []
        for place, (pattern, _) in enumerate(patterns):
            if has_magic(pattern):
                self._magic.append((place, _compiled((os.path.abspath(pattern),))))
            else:
                self._plain.setdefault(os.path.abspath(pattern), []).append(place)

    def find(self, path: str) -> int | None:
        """Return the place of the pattern."""
        path = above = os.path.abspath(path)
        places = [place for place, pattern in self._magic if pattern.fullmatch(path) is not None]
        while above:
            places += self._plain.get(above, ())
            above = above.rpartition("/")[0]
        return min((place for place in places if not fits(self._patterns[place][1], path)), default=None)


class Fence:
    """What is never followed, whatever an entry says, wherever links lead: decided by the real path.

    The file systems of the kernel are not files with lines (/proc/kcore has no end); /dev/shm is an ordinary one.
    """

    def __init__(self, exclude: Iterable[str] = (), allow: Iterable[str] = ()) -> None:
        """Nothing below ``exclude``; when there is ``allow``, nothing but what lies below it."""
        self._exclude = tuple(os.path.realpath(path).rstrip("/") + "/" for path in exclude)
        self._allow = tuple(os.path.realpath(path).rstrip("/") + "/" for path in allow)

    def refuses(self, real: str) -> str:
        """Return why this real path is not followed; empty: it may be."""
        inside = real + "/"
        if inside.startswith(_KERNEL) and not inside.startswith("/dev/shm/"):  # noqa: S108 - it is not written there
            return "a file of the kernel"
        if inside.startswith(self._exclude):
            return "excluded"
        return "" if not self._allow or inside.startswith(self._allow) else "not below collect.allow"
