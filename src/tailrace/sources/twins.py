"""Who is who after a rotation: the copy of a generation, and generations that came and went unseen.

Rules (``file.py`` says when they are asked for).
  self     An open file is no copy of itself, whatever it is called by now.
  copy     A file is a generation that we know when its name can be that of its copy, and its content begins with all
           that was read of it. Of several the one of which most was read. When the original is still there the
           copy is left alone, also while it is only the beginning of it (it is being made), but not when it holds more
           than the original. What changes while it is compared is compared again: a copy may have been finished, and
           its original emptied, in the middle of it.
  short    What was written between the copying and the emptying may have been read, and the copy ends before it. By its
           first bytes, and because it was changed after the generation was first seen, it is its copy all the same;
           there is nothing to read in it.
  early    What begins like an original of which nothing was read yet (since it was emptied), and was changed after it,
           or made after it was opened, is either its copy or a generation that began alike: its next read tells.
  missed   A new file in a family that is known, and a known generation that is no longer at its place, tell of a
           rotation that nobody saw: then one looks beside.
  beside   In the directory of a log, outside of the globs: what is known by inode and has grown; what may be the copy
           of a generation whose own file is gone; and what nobody knows and was last changed no earlier than the newest
           generation that we know, or, when that is gone, after it was first seen.
"""

from __future__ import annotations

import itertools
import os
import stat
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from enum import Enum

from tailrace.limits import GONE_QUIET_S, LOOKS_MAX
from tailrace.sources.content import Content, Rewritten
from tailrace.sources.entry import Entry
from tailrace.sources.find import Finder, Found, key_of
from tailrace.sources.followed import FollowedFile
from tailrace.sources.generations import Generations, family, may_be_copy, older_first
from tailrace.sources.known import Head, Known
from tailrace.sources.opened import Log, Opened

_END_BYTES = 4096

Listing = tuple[dict[Log, list[tuple[str, os.stat_result]]], dict[tuple[int, int], tuple[str, os.stat_result]]]
"""The regular files of a directory, with their status: those of each log, and by device and inode."""


class Twin(Enum):
    """What a file is that goes on with no generation."""

    NONE = "a content of its own"
    COPY = "the copy of one whose own file is there"
    EARLY = "the copy of an open file or a content of its own, as will show when that file was read"


def twin_of(
    path: str,
    content: Content,
    past: Generations,
    opened: Opened,
    here: Container[tuple[int, int]],
) -> Known | Twin:
    """Return the generation that a file goes on with, or ends before, or what it is instead.

    ``here`` are the files that there are.
    """
    twin: Known | Twin = Twin.NONE
    for _ in range(LOOKS_MAX):
        before = os.fstat(content.fd)
        twin = _twin_of(path, content, past, opened, here)
        after = os.fstat(content.fd)
        if twin is not Twin.NONE or (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            break
    return twin


def _twin_of(
    path: str,
    content: Content,
    past: Generations,
    opened: Opened,
    here: Container[tuple[int, int]],
) -> Known | Twin:
    best: Known | None = None
    short: Known | None = None
    copied = early = False
    head = Head(content)
    for log in _logs(path):
        for file in opened.of(log):
            if file.content is not content and any(may_be_copy(path, one) for one in file.paths):
                if _is_copy(content, head, file):
                    return Twin.COPY
                early = early or _is_early(content, file)
        for known in past.of(log):
            if not known.offset or (best and known.offset <= best.offset) or not _named_alike(path, known, content):
                continue
            if head.is_of(known) and known.is_in(content):
                best, copied = known, past.get(known.key) is known and known.key in here
            elif _is_unfinished(content, head, known):
                return Twin.COPY
            elif past.get(known.key) is not known and _is_short(content, head, known):
                short = known
    if copied and best is not None and content.pread(1, best.offset):
        return Twin.NONE  # more than the original that is here
    if copied:
        return Twin.COPY
    return best or short or (Twin.EARLY if early else Twin.NONE)


def _logs(path: str) -> Iterator[Log]:
    """Yield the families that a name can be of: that of itself, and those of what it begins with."""
    seen: set[Log] = set()
    begin = path.rfind("/") + 2
    for end in [len(path), *(place for place in range(len(path) - 1, begin, -1) if path[place] in "-._~")]:
        log = family(path[:end])
        if log not in seen:
            seen.add(log)
            yield log


def _named_alike(path: str, known: Known, content: Content) -> bool:
    return content.packed or any(may_be_copy(path, one) for one in known.paths)


def _is_copy(content: Content, head: Head, file: FollowedFile) -> bool:
    if not file.offset:  # nothing was read of it yet: only its gzip is no file of its own
        return content.packed and _is_beginning(content, file)
    known = file.known()
    if head.is_of(known) and known.is_in(content):
        size = _size_if_intact(file, known)
        return size is None or not content.pread(1, size)
    length, _ = content.look()
    if (length < file.offset or content.unfinished) and _is_beginning(content, file):
        return True
    return _is_short(content, head, known) and _size_if_intact(file, known) is None


def _size_if_intact(file: FollowedFile, known: Known) -> int | None:
    """Return the size of an open file; None when it was emptied, which its next read will find."""
    try:
        size, _ = file.content.look()
    except Rewritten:
        return None
    return size if size >= file.offset and known.is_in(file.content) else None


def _is_early(content: Content, file: FollowedFile) -> bool:
    """Tell whether a file may be the copy of another one that was not read yet, or not since it was emptied."""
    status = os.fstat(content.fd)
    # A copy may have been given the old times; that it was made after the original was opened, its own time tells.
    late = status.st_mtime_ns >= os.fstat(file.content.fd).st_mtime_ns or status.st_ctime_ns > file.opened
    if not late or not _is_beginning(content, file):
        return False
    return not file.offset or _size_if_intact(file, file.known()) is None


def _is_beginning(content: Content, file: FollowedFile) -> bool:
    """Tell whether a file begins with a content, by the beginning and the end of that."""
    head = content.pread(_END_BYTES, 0)
    length, _ = content.look()
    start = max(0, length - _END_BYTES)
    end = content.pread(_END_BYTES, start)
    return bool(head) and all(
        piece == file.content.pread(len(piece), place) for place, piece in ((0, head), (start, end))
    )


def _is_unfinished(content: Content, head: Head, known: Known) -> bool:
    """Tell whether a compressed file that is being written has not come as far as what was read, but may."""
    size, mtime_ns = content.look()
    if not content.unfinished:
        return False
    young = time.time_ns() - mtime_ns < GONE_QUIET_S * 1e9
    return young and (size < known.note.prefix_bytes or head.is_of(known))


def _is_short(content: Content, head: Head, known: Known) -> bool:
    """Tell whether a file is the copy of what was read further than to its end, before the original was emptied."""
    if not head.is_of(known) or content.unfinished:
        return False
    return content.look()[0] < known.offset and os.fstat(content.fd).st_mtime_ns >= known.born


def logs_of(paths: Iterable[str]) -> Iterator[Log]:
    """Yield the families of these paths, and of what the links among them lead to."""
    for path in paths:
        yield family(path)
        if os.path.islink(path):
            yield family(os.path.realpath(path))


def unread_beside(
    logs: Mapping[Log, int | None], past: Generations, opened: Opened, finder: Finder
) -> list[tuple[Found, bool]]:
    """Return what to read outside of the globs, each with whether only if it is the copy of a known generation.

    Of each log is told when (ns) the generation was first seen whose content is not at its place any more, or None.
    """
    listings: dict[str, Listing] = {}
    found: list[tuple[Found, bool]] = []
    for log, since in logs.items():
        found += _unread_beside(log, past, opened.of(log), finder, listings, since=since)
    return found


def _unread_beside(
    log: Log,
    past: Generations,
    opened: Sequence[FollowedFile],
    finder: Finder,
    listings: dict[str, Listing],
    *,
    since: int | None,
) -> Iterator[tuple[Found, bool]]:
    """As above, of one log; ``listings`` keeps directories that were looked through, for the other logs in them."""
    generations = past.of(log)
    named = [known.note.path for known in reversed(generations)] + [file.first_path for file in opened]
    entry = next(filter(None, (entry_of_log(path, finder) for path in named)), None)
    if entry is None:
        return
    if log[0] not in listings:
        listings[log[0]] = _listing(log[0])
    by_log, by_key = listings[log[0]]
    members = {key_of(status): (path, status) for path, status in by_log.get(log, ())}
    members |= {known.key: by_key[known.key] for known in generations if known.key in by_key}
    times = {key: status.st_mtime_ns for key, (_, status) in members.items()}
    if since is None:
        here = {known.name: times.get(known.key) for known in generations if past.get(known.key) is known}
        since = max(
            [here.get(known.name) or known.born for known in generations[-1:]]
            + [os.fstat(file.content.fd).st_mtime_ns for file in opened]
        )
    lost = any(past.get(known.key) is not known or known.key not in times for known in generations)
    keys = {file.key for file in opened} | finder.found.keys()
    for path, status in sorted(members.values(), key=lambda one: older_first(one[0], one[1].st_mtime_ns)):
        if key_of(status) in keys or finder.refuses(entry, path):
            continue
        found = Found(path, key_of(status), entry, told=False)
        known = past.get(found.key)
        if known is not None:
            if known in generations and status.st_size != known.offset and not known.note.seal:
                yield found, False
        elif status.st_mtime_ns >= since:
            yield found, False
        elif lost:
            yield found, True


def entry_of_log(path: str, finder: Finder) -> Entry | None:
    """Return the entry that a generation is of, by the first path of it or by the name of its log."""
    return finder.entry_of(path) or finder.entry_of("/".join(family(path)))


def _listing(directory: str) -> Listing:
    by_log: dict[Log, list[tuple[str, os.stat_result]]] = {}
    by_key: dict[tuple[int, int], tuple[str, os.stat_result]] = {}
    for path, status in _statuses(directory):
        by_log.setdefault(family(path), []).append((path, status))
        by_key[key_of(status)] = path, status
    return by_log, by_key


def _statuses(directory: str) -> list[tuple[str, os.stat_result]]:
    """Return the regular files of a directory, all of one moment: when names change meanwhile, one looks again."""
    found: list[tuple[str, os.stat_result]] = []
    for _ in range(LOOKS_MAX):
        found, torn = [], False
        try:
            with os.scandir(directory) as names:
                listed = list(names)
        except OSError:
            break  # the directory is gone, and its files with it
        for one in listed:
            try:
                status = one.stat(follow_symlinks=False)
            except OSError:
                torn = True
                continue
            torn |= status.st_ino != one.inode()
            if stat.S_ISREG(status.st_mode):
                found.append((one.path, status))
        if not torn:
            break
    return found


def in_order(fresh: Sequence[FollowedFile], opened: Opened) -> None:
    """Put each file that was just found behind the generation before it."""
    new = set(map(id, fresh))
    for log in {family(path) for file in fresh for path in file.paths}:
        for older, newer in itertools.pairwise(sorted(opened.of(log), key=_age)):
            if id(newer) not in new and id(older) not in new:
                continue
            if (newer.before is None or _age(newer.before) < _age(older)) and newer not in _and_before(older):
                newer.before = older


def _age(file: FollowedFile) -> tuple[int, int, bytes, bool]:
    fd = file.content.fd
    try:
        path = os.readlink(f"/proc/self/fd/{fd}")  # it may have been renamed since it was found
    except OSError:
        path = file.path
    return older_first(path, os.fstat(fd).st_mtime_ns)


def _and_before(file: FollowedFile | None) -> Iterator[FollowedFile]:
    while file is not None:
        yield file
        file = file.before


def has_family(path: str) -> bool:
    """Tell whether other generations of a log stand where a deleted file stood: one of them may be its copy."""
    log = family(path)
    try:
        return any(family(f"{log[0]}/{name}") == log for name in os.listdir(log[0]))
    except OSError:
        return False
