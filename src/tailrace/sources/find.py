"""Which files there are: the paths, globs and directories of the entries, matched again and again for little.

A directory is listed again when its time of change or its inode is another one, when the kernel has reported a change
of its names, or as long as its last change is so young (LISTING_YOUNG_S) that a coarse clock could hide the next; a
scan where nothing has changed costs one ``stat`` a directory. Links are followed and looked at in every scan, for what
they lead to changes elsewhere.

What is found was there at one moment, in each directory: when a name leads to another file than it did in the listing,
a rotation came in between, which shows the new file and may hide the one before it. Then one looks again.

``*`` and ``?`` stop at ``/`` and leave hidden names alone; ``**`` is any depth of directories, each once. What the
fence refuses or ``exclude`` fits (globs.py), as it is named or as it really is, is never opened. What is no regular
file is left out too; ``skipped`` says why, and ``failed`` what went wrong.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from tailrace.limits import LISTING_YOUNG_S, LOOKS_MAX, SECOND_NS, SKIPPED_MAX
from tailrace.sources.content import is_text
from tailrace.sources.entry import UNREADABLE, Entry
from tailrace.sources.generations import older_first
from tailrace.sources.globs import Fence, Index, fits
from tailrace.sources.inotify import Watch

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Found:
    """A file of an entry: its path, device and inode; ``told`` when the kernel reports every change of it."""

    path: str
    key: tuple[int, int]
    entry: Entry
    told: bool


class _Status(NamedTuple):
    """What is kept of a file's status: of ten thousand files all of it would be 6 MB."""

    key: tuple[int, int]
    mode: int
    stamp: tuple[int, int]
    links: int


class _Listing:
    """The names in a directory as they were last seen: name to (kind of file, inode)."""

    __slots__ = ("names", "real", "stamp", "statuses", "told", "turn", "young")

    def __init__(self, stamp: tuple[int, int, int] | None, names: dict[str, tuple[str, int]] | None) -> None:
        self.stamp = stamp
        self.names = names
        self.statuses: dict[str, _Status] = {}
        self.turn = 0
        self.young = self.told = False
        self.real = ""


class _Wish:
    """An entry, its pattern in pieces, and what it matched when the listings were as in ``visited``."""

    def __init__(self, entry: Entry, *, looked: bool) -> None:
        self.entry = entry
        path = os.path.abspath(entry.path)
        self.whole = False
        self.path = path
        self.parts = path.split("/")[1:] + (["*"] if path.endswith("/**") else [])
        self.looked = looked
        self.visited: dict[str, _Listing] = {}
        self.found: list[Found] = []
        self.skipped: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.settled = False


class Finder:
    """Matches the entries; see the head of this module."""

    def __init__(self, entries: Sequence[Entry], fence: Fence, watch: Watch) -> None:
        """Nothing that ``fence`` refuses is found."""
        self._watch = watch
        self._fence = fence
        self._wishes: list[_Wish] = []
        self._listings: dict[str, _Listing] = {}
        self._dirty: set[str] | None = None
        self._turn = 0
        self._binary: dict[tuple[int, int], tuple[int, int]] = {}
        self.told = True
        self._torn = False
        self.first: set[tuple[int, int]] = set()
        self.found: dict[tuple[int, int], Found] = {}
        self.set(entries)

    @property
    def skipped(self) -> dict[str, str]:
        """Return the paths that were matched and are left out, and why."""
        return {path: reason for wish in self._wishes for path, reason in wish.skipped.copy().items()}

    @property
    def failed(self) -> dict[str, str]:
        """Return the paths that were matched and cannot be looked at, and why."""
        return {path: reason for wish in self._wishes for path, reason in wish.failed.copy().items()}

    def set(self, entries: Sequence[Entry]) -> None:
        """Match these from now on; the first look of a path that was matched already is over."""
        looked = {wish.entry.path for wish in self._wishes if wish.looked}
        self._wishes = [_Wish(entry, looked=entry.path in looked) for entry in entries]
        self._index = Index([(entry.path, entry.exclude) for entry in entries])
        self._changed = True

    def entry_of(self, path: str) -> Entry | None:
        """Return the entry that a path is of, whether there is a file now or not."""
        place = self._index.find(path)
        return None if place is None else self._wishes[place].entry

    def allows(self, fd: int) -> bool:
        """Tell whether what was opened may be read: a link on its way may have been turned since it was found."""
        return stat.S_ISREG(os.fstat(fd).st_mode) and not self._fence.refuses(os.path.realpath(f"/proc/self/fd/{fd}"))

    def refuses(self, entry: Entry, path: str) -> bool:
        """Tell whether a path is excluded from an entry, or behind the fence."""
        real = os.path.realpath(path)
        return _excluded(entry, path, real) or bool(self._fence.refuses(real))

    def scan(self, dirty: set[str] | None) -> bool:
        """Match all entries again; tell whether anything is different.

        ``dirty`` are directories whose names the kernel has reported to have changed; None for any.
        """
        changed = self._scan(dirty)
        for _ in range(LOOKS_MAX - 1):
            if not self._torn:
                break
            changed |= self._scan(dirty)
        for wish in self._wishes:
            wish.looked = True
        return changed

    def _scan(self, dirty: set[str] | None) -> bool:
        self._torn = False
        self._turn += 1
        self._dirty = dirty
        changed, self._changed = self._changed, False
        for wish in self._wishes:
            if wish.settled and all(self._list(path) is listing for path, listing in wish.visited.items()):
                continue
            before = wish.found
            wish.visited, wish.skipped, wish.failed, wish.settled = {}, {}, {}, True
            wish.found = list(self._found(wish))
            if not wish.looked:
                self.first |= {one.key for one in wish.found} - self.found.keys()
            changed |= wish.found != before
        if changed:
            self.found = {}
            for wish in self._wishes:
                for one in wish.found:
                    self.found.setdefault(one.key, one)
            self.first &= self.found.keys()
        self.told = all(listing.told for listing in self._listings.values() if listing.turn == self._turn)
        self._listings = {path: one for path, one in self._listings.items() if one.turn == self._turn}
        return changed

    def _found(self, wish: _Wish) -> Iterator[Found]:
        wish.whole = os.path.isdir(wish.path)
        parts = [*wish.parts, "**", "*"] if wish.whole else wish.parts
        for directory, name in self._walk(wish, "", parts, set()):
            path = f"{directory}/{name}"
            listing = self._listings[directory or "/"]
            kind = listing.names[name][0] if listing.names and name in listing.names else "l"
            real = os.path.realpath(path) if kind == "l" else f"{listing.real}/{name}"
            if self._refused(wish, path, real):
                continue
            status = self._status(wish, path, name, kind, listing)
            if status is None or not self._wanted(wish, path, status):
                continue
            yield Found(path, status.key, wish.entry, listing.told and kind == "f" and status.links == 1)

    def _refused(self, wish: _Wish, path: str, real: str) -> bool:
        if _excluded(wish.entry, path, real):
            return True
        why = self._fence.refuses(real)
        if why and not wish.whole:
            _note(wish.skipped, path, why)
        return bool(why)

    def _status(self, wish: _Wish, path: str, name: str, kind: str, listing: _Listing) -> _Status | None:
        """Return the status of what a name leads to, of a file in a listing that has not changed the one from then."""
        if kind == "f" and (status := listing.statuses.get(name)) is not None:
            return status
        if kind == "l":
            wish.settled = False
            target = os.path.dirname(os.path.realpath(path))
            wish.visited[target] = self._list(target)
        try:
            full = os.stat(path)
        except OSError as error:
            wish.settled = False
            self._torn |= kind == "f" and error.errno == errno.ENOENT
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                _note(wish.failed, path, str(error))
            elif kind == "l" and listing.names:
                _note(wish.skipped, path, "leads nowhere")
            return None
        stamp = full.st_size, full.st_mtime_ns
        status = _Status(key_of(full), full.st_mode, stamp, full.st_nlink)
        if kind == "f":
            self._torn |= listing.names is not None and listing.names[name][1] != full.st_ino
            listing.statuses[name] = status
        return status

    def _wanted(self, wish: _Wish, path: str, status: _Status) -> bool:
        if not stat.S_ISREG(status.mode):
            if not wish.whole:
                _note(wish.skipped, path, _KINDS.get(stat.S_IFMT(status.mode), "no file"))
            return False
        if path.endswith(UNREADABLE):
            _note(wish.skipped, path, "compressed in a way that is not read; gzip is")
            return False
        return not wish.whole or self._is_text(wish, path, status)

    def _is_text(self, wish: _Wish, path: str, status: _Status) -> bool:
        """Tell whether the first bytes of a file in a directory are text; asked once of each file that has any."""
        if status.key in self.found:
            return True
        if self._binary.get(status.key) != status.stamp:
            try:
                if is_text(path):
                    return True
            except OSError as error:
                wish.settled = False
                _note(wish.failed, path, str(error))
                return False
            self._binary[status.key] = status.stamp
        _note(wish.skipped, path, "no text")
        return False

    def _walk(
        self, wish: _Wish, directory: str, parts: list[str], seen: set[tuple[int, int]]
    ) -> Iterator[tuple[str, str]]:
        """Yield directory and name of all that matches the rest of a pattern."""
        part, rest = parts[0], parts[1:]
        while rest and not _MAGIC.search(part):
            directory, part, rest = f"{directory}/{part}", rest[0], rest[1:]
        listing = self._list(directory or "/")
        wish.visited[directory or "/"] = listing
        if part == "**" and rest:
            if listing.stamp is None or listing.stamp[:2] in seen:
                return
            seen.add(listing.stamp[:2])
            yield from self._walk(wish, directory, rest, set())
        if not _MAGIC.search(part) and listing.names is None:
            wish.settled = False  # a directory that may be entered but not listed
            if os.path.lexists(f"{directory}/{part}"):
                yield directory, part
            return
        match = re.compile(fnmatch.translate("*" if part == "**" else part)).match
        hidden = part.startswith(".")
        for name, (kind, _) in (listing.names or {}).items():
            if not match(name) or (name.startswith(".") and not hidden):
                continue
            if not rest:
                yield directory, name
            elif kind == "d" or (kind == "l" and os.path.isdir(f"{directory}/{name}")):
                yield from self._walk(wish, f"{directory}/{name}", [part, *rest] if part == "**" else rest, seen)

    def _list(self, directory: str) -> _Listing:
        """Return the names in a directory: the same object as before when they are the same."""
        listing = self._listings.get(directory)
        if listing is not None and listing.turn == self._turn:
            return listing
        fresh = self._listed(directory, listing)
        same = listing is not None and (fresh.stamp, fresh.names) == (listing.stamp, listing.names)
        if listing is not None and same:
            listing.young, listing.told = fresh.young, fresh.told
            fresh = listing
        fresh.turn = self._turn
        self._listings[directory] = fresh
        return fresh

    def _listed(self, directory: str, before: _Listing | None) -> _Listing:
        try:
            status = os.stat(directory)
        except OSError:
            listing = _Listing(None, {})
            listing.told = self._notice(directory)
            return listing
        stamp = status.st_dev, status.st_ino, status.st_mtime_ns
        told = self._watch.watch(directory, stamp[:2])
        unchanged = before is not None and before.stamp == stamp and not before.young
        if before is not None and unchanged and self._dirty is not None and directory not in self._dirty:
            before.told = told
            return before
        try:
            with os.scandir(directory) as names:
                listing = _Listing(stamp, {one.name: (_kind(one), one.inode()) for one in names})
        except OSError:
            listing = _Listing(stamp, None)
        listing.young = time.time_ns() - status.st_mtime_ns < LISTING_YOUNG_S * SECOND_NS
        listing.told = told
        listing.real = os.path.realpath(directory)
        if self._dirty is not None:
            listing.statuses = _still_known(before, listing)
        return listing

    def _notice(self, directory: str) -> bool:
        """Watch the innermost directory that exists: what is missing can appear there."""
        while directory != "/" and not os.path.isdir(directory):
            directory = os.path.dirname(directory)
        try:
            status = os.stat(directory)
        except OSError:
            return False
        return self._watch.watch(directory, (status.st_dev, status.st_ino))


def open_found(one: Found) -> int | None:
    """Open a file that was found, under the name that rotation has given it meanwhile; None when it is gone.

    Raises OSError when it may not be opened.
    """
    for path in _paths(one):
        with suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            if key_of(os.fstat(fd)) == one.key:
                return fd
            os.close(fd)
    return None


def age_of(one: Found) -> tuple[int, int, bytes, bool]:
    """Return what files that were found are sorted by, oldest first: as they are called by now."""
    for path in _paths(one):
        with suppress(OSError):
            status = os.stat(path)
            if key_of(status) == one.key:
                return older_first(path, status.st_mtime_ns)
    return older_first(one.path, 0)


def _paths(one: Found) -> Iterator[str]:
    """Yield the name under which a file was found, then those that rotation has given it by the time one asks."""
    yield one.path
    for _ in range(LOOKS_MAX):
        path = _path_of(os.path.dirname(os.path.realpath(one.path)), one.key[1])
        if path is None:
            return
        yield path


def key_of(status: os.stat_result) -> tuple[int, int]:
    """Return device and inode."""
    return status.st_dev, status.st_ino


def _path_of(directory: str, inode: int) -> str | None:
    """Return where the file of an inode is in a directory now."""
    try:
        with os.scandir(directory) as names:
            return next((name.path for name in names if name.inode() == inode), None)
    except OSError:
        return None


def _still_known(before: _Listing | None, now: _Listing) -> dict[str, _Status]:
    """Return the statuses of names that lead to the same files as before, in the same directory."""
    if not (before and before.stamp and before.names and now.stamp and now.names):
        return {}
    if before.stamp[:2] != now.stamp[:2]:
        return {}
    return {name: one for name, one in before.statuses.items() if before.names[name] == now.names.get(name)}


def _excluded(entry: Entry, path: str, real: str) -> bool:
    return fits(entry.exclude, path) or (real != path and fits(entry.exclude, real))


def _note(reasons: dict[str, str], path: str, reason: str) -> None:
    if len(reasons) < SKIPPED_MAX:
        reasons[path] = reason


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "l"
    return "f" if entry.is_file() else "d" if entry.is_dir() else "o"
