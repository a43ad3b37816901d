"""Following files: which there are, where each was left, when to look at each.

Purpose. Every line that was whole on disk while it could be seen goes to the bus once, in the order of the file. One
thread drives it; nothing here writes: the position of a file is what the bus has taken of it.

Rules.
  find     Globs and paths are matched again every second or so, and at once when a directory reports a change. A file
           is followed once, whatever number of paths and links lead to it, for the first entry that finds it. What is
           no regular file is left out, compressed files too, and whatever leads to /proc, /sys or /dev. On the first
           look of an entry ``start`` applies; what appears later is read from its first byte.
  change   New entries take the place of the old ones at any time: a file that is still wanted goes on where it is, with
           the labels and steps of its entry from the next line on; one that is not is closed when the bus has what was
           read of it, and goes on there when it is wanted again.
  known    A file that the bus knows by device and inode goes on at its offset when the bytes there and at its
           beginning are those that were read (followed.py); otherwise it is a new one. A file that was renamed while
           nobody looked is found beside its old path, outside of the globs too, as long as it has something unread.
  rotate   renamed or deleted: the descriptor is kept until it has been quiet for GONE_QUIET_S. Truncated: a new
           generation from byte 0. The copy that copytruncate makes beside a file (its name begins with the file's
           name, its content too) is not read again: it goes on where the original was left when it was truncated.
  order    Files of one family (``app.log``, ``app.log.1``, ``app-2026-11-20.log``) are generations of one log: what an
           older one (by its last change) holds when a newer one is found comes before the newer one's first line.
  look     A file is polled at a tenth of the time that it has been quiet, within POLL_S_MIN and POLL_S_MAX; inotify
           only makes it sooner, so a lost event costs a moment and never a line.
  bounds   FILES_OPEN_MAX descriptors; beyond them the longest quiet file whose lines are all acknowledged is closed,
           and opened again when its size or time of change differs.
"""

from __future__ import annotations

import errno
import glob
import heapq
import itertools
import math
import os
import re
import resource
import stat
import time
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence

from tailrace.limits import (
    FILES_OPEN_MAX,
    GENERATIONS_MAX,
    GONE_QUIET_S,
    LOOKS_MAX,
    POLL_NOTIFIED_S_MIN,
    POLL_S_MAX,
    POLL_S_MIN,
    SCAN_NOTIFIED_S,
    SCAN_S,
)
from tailrace.lines import Lines
from tailrace.record import Origin, Stream
from tailrace.sources import container
from tailrace.sources.entry import COMPRESSED, SNIFF_BYTES, Entry, start_offset
from tailrace.sources.followed import FollowedFile, Known, Rewritten
from tailrace.sources.globs import Fence, Index, fits
from tailrace.sources.inotify import Watch

_SCAN_SHARE = 50
_ROTATED = re.compile(r"[-._]?(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d(?:[-_.T:]?\d+)*|(?<=[a-z])(?:[-._]\d{1,3})+$")
"""The date in a name, or the number at its end, that rotation gives."""


class FileSource:
    """Follows the files of its entries; see the head of this module. Used by one thread, except ``wake``."""

    def __init__(
        self,
        entries: Sequence[Entry],
        known: Iterable[Origin] = (),
        *,
        host: str = "",
        exclude: Sequence[str] = (),
        allow: Sequence[str] = (),
    ) -> None:
        """``known`` is ``bus.sources("file:")``; nothing below the directories of ``exclude`` is followed.

        With ``allow`` nothing is followed but what really lies below its directories.
        """
        self._entries = [(entry, True) for entry in entries]
        self._index = _index(entries)
        self._changed = False
        self._host = host
        self._fence = Fence(exclude, allow)
        self._watch = Watch()
        self._notified = True
        self._open: dict[tuple[int, int], FollowedFile] = {}
        self._by_path: dict[str, FollowedFile] = {}
        self._parked: dict[tuple[int, int], tuple[int, int]] = {}
        self._known: dict[tuple[int, int], Known] = {}
        self._ended: dict[str, list[Known]] = {}
        self._looked_beside = False
        self._queue: list[tuple[float, int, FollowedFile]] = []
        self._turn = 0
        self._scan_at = 0.0
        self._scan_next_min = 0.0
        self.forgotten: list[str] = []
        self.problems: dict[str, str] = {}
        self.failing: dict[tuple[int, int], FollowedFile] = {}
        self.read_errors = 0
        self.matched: Counter[str] = Counter()
        self.polled = 0.0
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._files_max = max(8, min(FILES_OPEN_MAX, soft // 2))
        for generation in sorted(filter(None, map(Known.of, known)), key=lambda one: one.born):
            older = self._known.get(generation.key)
            if older is not None:
                self._end(older)
            self._known[generation.key] = generation

    @property
    def files(self) -> list[FollowedFile]:
        """Return the open files."""
        return list(self._open.values())

    @property
    def parked(self) -> list[tuple[str, int]]:
        """Return path and size of the files that are quiet and were closed to have few descriptors; from any thread."""
        known = ((self._known.get(key), size) for key, (size, _) in self._parked.copy().items())
        return [(one.note.path, size) for one, size in known if one is not None]

    def set(self, entries: Sequence[Entry]) -> None:
        """Follow these from now on; see ``change`` at the head of this module."""
        looked = {entry.path for entry, first in self._entries if not first}
        self._entries = [(entry, entry.path not in looked) for entry in entries]
        self._index = _index(entries)
        self.problems = {}
        self._changed = True
        self._looked_beside = False
        self._scan_at = 0.0

    def wake(self) -> None:
        """End a ``wait``; from any thread."""
        self._watch.wake()

    def wait(self, timeout_s: float) -> None:
        """Block until something may have changed or is due, for ``timeout_s`` at most."""
        now = time.monotonic()
        due = min(self._queue[0][0] if self._queue else now + timeout_s, self._scan_at)
        self._watch.wait(min(timeout_s, due - now))

    def poll(self) -> Iterator[tuple[FollowedFile, Lines]]:
        """Yield what can be read now: at most one block of each file."""
        self.look()
        self.polled = now = time.monotonic()
        due: list[FollowedFile] = []
        while self._queue and self._queue[0][0] <= now:
            when, _, file = heapq.heappop(self._queue)
            if when == file.due and self._open.get(file.key) is file:
                file.due = math.inf
                due.append(file)
        for file in due:
            yield from self._older_first(file, now)
            if file.before is not None:
                self._schedule(file, 0.0)
                continue
            lines = self._read(file, now)
            if lines is not None:
                yield file, lines

    def _older_first(self, file: FollowedFile, now: float) -> Iterator[tuple[FollowedFile, Lines]]:
        """Yield a block of the oldest generation before this one that still has some; forget those that have none."""
        chain = [file]
        while chain[-1].before is not None:
            chain.append(chain[-1].before)
        for older, newer in zip(reversed(chain), reversed(chain[:-1]), strict=False):
            if self._open.get(older.key) is older:
                lines = self._read(older, now)
                if lines is not None:
                    yield older, lines
                if older.more:
                    return
            newer.before = None

    def look(self) -> None:
        """Take what the kernel reported, and match the globs again when it is time."""
        names = self._reported()
        now = time.monotonic()
        if names:
            self._scan_at = min(self._scan_at, max(now, self._scan_next_min))
        if now >= self._scan_at:
            # A rotation in the middle of a look shows the new file and hides the one before it: nothing is read until
            # the names have been still for a whole look.
            for _ in range(LOOKS_MAX):
                self._scan(now)
                if not self._reported():
                    break
            took = time.monotonic() - now
            self._scan_next_min = now + _SCAN_SHARE * took
            self._scan_at = now + max(SCAN_NOTIFIED_S if self._notified else SCAN_S, _SCAN_SHARE * took)

    def _reported(self) -> bool:
        """Have the files looked at that were written to; tell whether names have changed too."""
        paths, names = self._watch.changes()
        for path in paths & self._by_path.keys():
            self._by_path[path].notified = True
            self._schedule(self._by_path[path], 0.0)
        return names

    def close(self) -> None:
        """Give all descriptors back."""
        for file in self._open.values():
            os.close(file.fd)
        self._open.clear()
        self._watch.close()

    # -- reading -----------------------------------------------------------------------------------------------

    def _read(self, file: FollowedFile, now: float) -> Lines | None:
        if file.unwanted:
            file.more = False
            if file.acked == file.offset:
                self._close(file)
            else:
                self._schedule(file, now + POLL_S_MIN)
            return None
        lines = None
        try:
            lines = file.read(now, time.time_ns())
            if file.error:
                file.error = ""
                del self.failing[file.key]
        except Rewritten:
            self._end(file.known())
            file.begin_again(time.time_ns())
            file.more = True
            self._scan_at = 0.0
        except OSError as error:
            file.error = str(error)
            self.failing[file.key] = file
            self.read_errors += 1
            file.more = False
        quiet = now - file.changed
        soonest = POLL_NOTIFIED_S_MIN if file.notified else POLL_S_MIN
        self._schedule(file, 0.0 if file.more else now + min(max(quiet / 10, soonest), POLL_S_MAX))
        if file.gone and lines is None and quiet > GONE_QUIET_S and file.acked == file.offset and not file.held:
            self._close(file)
        return lines

    def _schedule(self, file: FollowedFile, when: float) -> None:
        file.due = when
        self._turn += 1
        heapq.heappush(self._queue, (when, self._turn, file))

    def _close(self, file: FollowedFile) -> None:
        if os.fstat(file.fd).st_nlink == 0:
            self.forgotten.append(file.name)
        else:
            self._known[file.key] = file.known()
        os.close(file.fd)
        del self._open[file.key]
        self.failing.pop(file.key, None)

    def _end(self, generation: Known) -> None:
        """Remember content that was truncated away: a copy of it may stand beside; the oldest are forgotten."""
        ended = self._ended.setdefault(generation.note.path, [])
        ended.append(generation)
        if len(ended) > GENERATIONS_MAX:
            self.forgotten.append(ended.pop(0).name)

    # -- finding -----------------------------------------------------------------------------------------------

    def _scan(self, now: float) -> None:
        found: dict[tuple[int, int], tuple[str, os.stat_result, Entry, bool]] = {}
        self._notified = True
        for place, (entry, first) in enumerate(self._entries):
            for path in self._matches(entry):
                status = self._regular(path)
                if status is not None:
                    found.setdefault((status.st_dev, status.st_ino), (path, status, entry, first))
            self._entries[place] = (entry, False)
        self.matched = Counter(entry.path for _, _, entry, _ in found.values())
        if not self._looked_beside:
            self._looked_beside = True
            self._find_beside(found)
        opened = set(self._open)
        # Known files first: what stands beside them as a copy is told by comparing with them.
        for key, (path, status, entry, first) in sorted(found.items(), key=lambda item: item[0] not in self._known):
            file = self._open.get(key)
            if file is not None:
                file.path, file.gone = path, False
                if self._changed:
                    self._dress(file, entry)
            elif self._parked.get(key) != (status.st_size, status.st_mtime_ns):
                self._follow(path, key, entry, first=first, now=now)
        for file in self._open.values():
            if file.key not in found and not file.gone:
                file.gone = True
                self._schedule(file, 0.0)
        if self._changed:
            self._changed = False
            self._let_go(found.keys())
        self._by_path = {file.path: file for file in self._open.values()}
        self._chain([file for key, file in self._open.items() if key not in opened])

    def _dress(self, file: FollowedFile, entry: Entry) -> None:
        """Have a file read on as this entry wishes."""
        file.unwanted = False
        file.entry = entry.path
        file.steps = entry.steps
        file.stream = Stream.of({**file.place, **entry.labels})

    def _let_go(self, found: Container[tuple[int, int]]) -> None:
        """Part with the files that no entry wants any more; what a wanted one was renamed from is read to its end."""
        for file in self._open.values():
            if file.key not in found:
                place = self._index.find(file.path)
                status = self._regular(file.path)
                if place is None or (status is not None and (status.st_dev, status.st_ino) == file.key):
                    file.unwanted = file.gone = True
                    self._schedule(file, 0.0)
                else:
                    self._dress(file, self._entries[place][0])

    def _chain(self, fresh: list[FollowedFile]) -> None:
        """Put each file that was just found behind the generation before it."""
        families: dict[tuple[str, str], list[FollowedFile]] = {}
        wanted = {family(file.path) for file in fresh}
        for file in self._open.values() if fresh else ():
            if (name := family(file.path)) in wanted:
                families.setdefault(name, []).append(file)
        for generations in families.values():
            # Times of change are coarse; of two in one tick, rotation has made the name of the older one longer.
            generations.sort(key=lambda file: (os.fstat(file.fd).st_mtime_ns, -len(file.path)))
            for older, newer in itertools.pairwise(generations):
                if newer in fresh or older in fresh:
                    newer.before = older

    def _matches(self, entry: Entry) -> Iterator[str]:
        path = entry.path
        whole = os.path.isdir(path)
        if whole:
            path = os.path.join(glob.escape(path), "**")
        self._notice(path)
        for match in glob.iglob(path, recursive=True):
            if match.endswith(COMPRESSED):
                continue
            real = os.path.realpath(match)
            if self._fence.refuses(real) or fits(entry.exclude, match) or fits(entry.exclude, real):
                continue
            if whole and not self._is_text(match):
                continue
            self._notified &= self._watch.watch(os.path.dirname(match) or ".")
            yield match

    def _notice(self, pattern: str) -> None:
        """Watch the innermost directory of a pattern that exists: what it may match can appear there."""
        directory = os.path.dirname(pattern) or "."
        while glob.has_magic(directory) or not os.path.isdir(directory):
            directory = os.path.dirname(directory) or "."
        self._notified &= self._watch.watch(directory)

    def _is_text(self, path: str) -> bool:
        if os.path.isdir(path):
            self._notified &= self._watch.watch(path)
            return False
        try:
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) in self._open:
                return stat.S_ISREG(status.st_mode)
            with open(path, "rb") as file:
                return b"\0" not in file.read(SNIFF_BYTES)
        except OSError as error:
            self.problems[path] = str(error)
            return False

    def _regular(self, path: str) -> os.stat_result | None:
        try:
            status = os.stat(path)
        except OSError as error:
            if error.errno != errno.ENOENT:
                self.problems[path] = str(error)
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def _find_beside(self, found: dict[tuple[int, int], tuple[str, os.stat_result, Entry, bool]]) -> None:
        """Add files that were renamed out of the globs while nobody looked, when they have something unread."""
        wanted = {
            key: known
            for key, known in self._known.items()
            if key not in found and key not in self._open and self._index.find(known.note.path) is not None
        }
        for directory in {os.path.dirname(known.note.path) for known in wanted.values()}:
            try:
                listed = list(os.scandir(directory))
            except OSError:
                continue  # the directory is gone, and its files with it
            for one in listed:
                known = wanted.get((one.stat(follow_symlinks=False).st_dev, one.inode()))
                status = self._regular(one.path) if known is not None else None
                place = self._index.find(known.note.path) if known is not None else None
                if known is not None and place is not None and status is not None and status.st_size > known.offset:
                    found[known.key] = (one.path, status, self._entries[place][0], False)

    def _follow(self, path: str, key: tuple[int, int], entry: Entry, *, first: bool, now: float) -> None:
        try:
            self._make_room()
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENOENT:
                self.problems[path] = str(error)
            return
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != key or not stat.S_ISREG(status.st_mode):
            os.close(fd)  # it was replaced just now; the next look finds what is there
            return
        known = self._known.pop(key, None)
        resumed = known is not None and known.is_in(fd, status.st_size)
        if known is not None and not resumed:
            self._end(known)
        original = None if resumed else self._original(path, fd, status.st_size)
        if isinstance(original, FollowedFile):
            os.close(fd)
            return
        first_path = known.note.path if known is not None and resumed else path
        named = {"host": self._host, "path": os.path.abspath(first_path)}
        place = {**named, **container.labels_of(os.path.realpath(path))}
        stream = Stream.of({**place, **entry.labels})
        file = FollowedFile(fd, path, stream, key, time.time_ns(), steps=entry.steps)
        file.place, file.entry = place, entry.path
        if known is not None and resumed:
            file.resume(known)
        elif original is not None:
            file.seek(original.offset)
        elif first and entry.start != "beginning":
            file.seek(file.line_after(start_offset(entry.start, status.st_size), status.st_size))
        file.acked = file.offset
        file.changed = now
        self._parked.pop(key, None)
        self.problems.pop(path, None)
        self._open[key] = file
        self._schedule(file, 0.0)

    def _original(self, path: str, fd: int, size: int) -> FollowedFile | Known | None:
        """Return what this file is the copy of: a followed file, or content that was truncated away; else None."""
        for file in self._open.values():
            if file.offset and _beside(path, file.path):
                known = file.known()
                if known.is_in(fd, size) or (0 < size < known.offset and _same_end(fd, file.fd, size)):
                    return file
        for ended_path, generations in self._ended.items():
            if _beside(path, ended_path):
                for known in reversed(generations):
                    if known.offset and known.is_in(fd, size):
                        return known
        return None

    def _make_room(self) -> None:
        if len(self._open) < self._files_max:
            return
        quiet = [file for file in self._open.values() if file.acked == file.offset == file.size and not file.gone]
        if not quiet:
            raise OSError(errno.EMFILE, f"{len(self._open)} files are open and none of them is quiet")
        file = min(quiet, key=lambda one: one.changed)
        status = os.fstat(file.fd)
        self._parked[file.key] = (status.st_size, status.st_mtime_ns)
        self._close(file)


def _index(entries: Sequence[Entry]) -> Index:
    return Index([(entry.path, entry.exclude) for entry in entries])


def family(path: str) -> tuple[str, str]:
    """Return what the generations of one log have in common: the directory, and the name without date and number."""
    directory, name = os.path.split(path)
    return directory, _ROTATED.sub("", name)


def _beside(copy: str, original: str) -> bool:
    """Tell whether a name can be that of a rotated copy: the original's with something behind."""
    return copy != original and copy.startswith(original)


def _same_end(fd: int, other: int, size: int) -> bool:
    start = max(0, size - 4096)
    return os.pread(fd, size - start, start) == os.pread(other, size - start, start)
