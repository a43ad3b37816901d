"""Following files: which there are, where each was left, when to look at each.

Purpose. Every line that was whole on disk while it could be seen goes to the bus once, in the order of the file. One
thread drives it; nothing here writes: the position of a file is what the bus has taken of it.

Rules.
  find     Globs and paths are matched again every second or so, and at once when a directory reports a change
           (find.py). A file is followed once, whatever number of paths and links lead to it, for the first entry that
           finds it. On the first look of an entry ``start`` applies; what appears later is read from its first byte.
           Gzip is read like the rest (content.py), but left out, as the past, where another ``start`` applies.
  change   New entries take the place of the old ones at any time: a file that is still wanted goes on where it is, with
           the labels and steps of its entry from the next line on; one that is not is closed when the bus has what was
           read of it, and goes on there when it is wanted again.
  known    A file that the bus knows by device and inode goes on at its offset when the bytes there and at its
           beginning are those that were read (followed.py); otherwise it is a new one.
  rotate   renamed or deleted: the descriptor is kept until it has been quiet for GONE_QUIET_S. Truncated: a new
           generation from byte 0. Copied or compressed: a file of the same family (generations.py) whose content begins
           with what was read of a generation is that generation; what was found empty is compared with its first bytes.
           While the original is open the copy is left alone; afterwards it goes on where the original was left.
  missed   What came and went while nobody looked is looked for beside what is known (twins.py), also outside of globs.
  order    Files of one family are generations of one log: what an older one (by its last change) holds when a newer one
           is found comes before the newer one's first line.
  look     A file is polled at a tenth of the time that it has been quiet, within POLL_S_MIN and POLL_S_MAX; inotify
           makes it sooner. Where the kernel tells of every change (a local file system, a watched directory, one
           name), a quiet file is polled within POLL_TOLD_S_MAX only. A lost event costs a moment and never a line.
  bounds   FILES_OPEN_MAX descriptors, or half of what the process may have. Beyond them the file that has been quiet
           for longest, or else has been open for longest, is closed as soon as its lines are acknowledged; it is opened
           again when its size or time of change differs, or when others have had their turn. The others wait for room.
"""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

from tailrace.limits import (
    GONE_QUIET_S,
    LOOKS_MAX,
    POLL_S_MIN,
    POLL_TOLD_S_MAX,
    SCAN_NOTIFIED_S,
    SCAN_S,
    TURNS_AT_ONCE_MAX,
)
from tailrace.lines import Lines
from tailrace.record import Origin
from tailrace.sources.content import Rewritten, Unpacking, content_of
from tailrace.sources.entry import Entry, start_offset
from tailrace.sources.find import Finder, Found, age_of, open_found
from tailrace.sources.followed import FollowedFile, found_file
from tailrace.sources.generations import Generations, family
from tailrace.sources.globs import Fence
from tailrace.sources.inotify import Watch
from tailrace.sources.known import Known
from tailrace.sources.opened import Key, Opened
from tailrace.sources.parked import Parked, dispensable, files_max
from tailrace.sources.turns import Turns
from tailrace.sources.twins import Twin, entry_of_log, has_family, in_order, logs_of, twin_of, unread_beside

_SCAN_SHARE = 50
_ROOM_S = 0.1

Read = tuple[FollowedFile, Lines]


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
        """``known`` is ``bus.sources("file:")``; ``exclude`` and ``allow`` are directories (globs.py, Fence)."""
        self._host = host
        self._watch = Watch()
        self._finder = Finder(entries, Fence(exclude, allow), self._watch)
        self._changed = False
        self._past = Generations(known)
        self.forgotten = self._past.forgotten  # names of generations that never come back; whoever drops them clears it
        self._suspects: dict[tuple[str, str], int | None] = dict.fromkeys(self._past.families())
        self._open = Opened()
        self._parked = Parked()
        self._late: dict[tuple[str, str], float] = {}
        self._waiting: list[Key] = []
        self._unpacking = Unpacking()
        self._turns = Turns()
        self._dirty: set[str] | None = set()
        self._scan_at = self._scan_next_min = self._sweep_at = 0.0
        self._refused: dict[str, str] = {}
        self.failing: dict[Key, FollowedFile] = {}
        self.read_errors = 0
        self.matched: Counter[str] = Counter()
        self.polled = 0.0

    @property
    def files(self) -> list[FollowedFile]:
        """Return the open files."""
        return list(self._open)

    @property
    def parked(self) -> list[tuple[str, int]]:
        """Return path and size of the files that are closed because there is nothing to read in them; any thread."""
        return self._parked.sizes()

    @property
    def problems(self) -> dict[str, str]:
        """Return the paths that cannot be followed, and why; from any thread."""
        return self._finder.failed | self._refused

    @property
    def skipped(self) -> dict[str, str]:
        """Return the paths that were matched and are no logs that can be read, and why; from any thread."""
        return self._finder.skipped

    def set(self, entries: Sequence[Entry]) -> None:
        """Follow these from now on; see ``change`` at the head of this module."""
        self._finder.set(entries)
        self._suspects = dict.fromkeys(self._past.families()) | self._suspects
        self._refused = {}
        self._changed = True
        self._scan_at = 0.0

    def wake(self) -> None:
        """End a ``wait``; from any thread."""
        self._watch.wake()

    def wait(self, timeout_s: float) -> None:
        """Block until something may have changed or is due, for ``timeout_s`` at most."""
        self._watch.wait(min(timeout_s, min(self._turns.next(), self._scan_at) - time.monotonic()))

    @property
    def behind(self) -> bool:
        """Whether a file has more to read, or was not looked at yet since it was opened or reported."""
        return self._turns.next() == 0.0

    def poll(self) -> Iterator[Read]:
        """Yield what can be read now: at most one block of each file, and of so many files that others are heard."""
        self.look()
        self.polled = now = time.monotonic()
        for due in self._turns.take(now, TURNS_AT_ONCE_MAX):
            if due not in self._open:
                continue
            file = self._waiting_for(due)
            rest = yield from self._older_first(file, now)
            if file.before is not None:
                self._turns.put(file, 0.0 if file.before.more else now + POLL_S_MIN)
                continue
            lines = self._read(file, now) if file in self._open else None
            if rest is not None and lines is not None and rest[1].goes_on_in(lines):
                file.carries, lines = rest[0], lines.behind(rest[1])
            elif rest is not None:
                yield rest
            if lines is not None:
                yield file, lines

    def _older_first(self, file: FollowedFile, now: float) -> Generator[Read, None, Read | None]:
        """Yield a block of the oldest generation before this one that still has some; forget those that have none.

        Returns the end of the one before, when the event in it may go on in this one.
        """
        chain = [file]
        while chain[-1].before is not None:
            chain.append(chain[-1].before)
        for older, newer in zip(reversed(chain), reversed(chain[:-1]), strict=False):
            open_, held = older in self._open, older.held
            lines = self._read(older, now) if open_ else None
            ends = held and lines is not None and lines.ended and not older.more and newer is file
            if lines is not None and not ends:
                yield older, lines
            if open_ and (older.more or older.held):
                return None
            newer.before = None
            if lines is not None and ends:
                return older, lines
        return None

    def _waiting_for(self, file: FollowedFile) -> FollowedFile:
        """Return the newer generation in which the open event of a file may go on, or the file itself."""
        newer = (one for path in file.paths for one in self._open.of(family(path)) if one.before is file)
        return next(newer, file) if file.held else file

    def look(self) -> None:
        """Take what the kernel reported, and match the globs again when it is time."""
        if self._reported():
            self._scan_at = min(self._scan_at, max(time.monotonic(), self._scan_next_min))
        now = time.monotonic()
        if now >= self._scan_at:
            # Nothing is read until names are still for a whole look: a rotation in its middle may hide a generation.
            names_s, still = 0.0, False
            for _ in range(LOOKS_MAX):
                names_s += self._scan(now)
                if still := not self._reported():
                    break
            self._scan_next_min = now + _SCAN_SHARE * names_s
            if self._waiting:
                self._scan_at = now + max(_ROOM_S, 2 * (time.monotonic() - now))
            else:
                rest_s = (SCAN_NOTIFIED_S if self._finder.told else SCAN_S) if still else 0.0
                self._scan_at = now + max(rest_s, _SCAN_SHARE * names_s)

    def _reported(self) -> bool:
        """Have the files looked at that were written to; tell whether names have changed too."""
        paths, directories = self._watch.changes()
        if directories is None:
            self._dirty = None
            for file in self._open:
                self._turns.put(file, 0.0)
            self._sweep_at = 0.0
            return True
        for file in self._open.at(paths):
            file.notified = True
            self._turns.put(file, 0.0)
        for key in self._parked.among(paths):
            self._parked.take(key)
            now = time.monotonic()
            if key in self._finder.found and not self._follow(self._finder.found[key], now):
                self._waiting.append(key)
                self._scan_at = min(self._scan_at, now + _ROOM_S)
        if self._dirty is not None:
            self._dirty |= directories
        return bool(directories) or (bool(paths) and not paths.isdisjoint(self.problems))

    def close(self) -> None:
        """Give all descriptors back."""
        for file in self._open:
            os.close(file.content.fd)
        self._open = Opened()
        self._watch.close()

    # -- reading -----------------------------------------------------------------------------------------------

    def _read(self, file: FollowedFile, now: float) -> Lines | None:
        lines = None
        if file.unwanted:
            file.more = False
            if file.acked == file.offset:
                self._close(file)
            else:
                self._turns.put(file, now + POLL_S_MIN)
            return None
        if file.content.packed and not self._unpacking.may(file.key):
            file.more = True
            self._turns.put(file, now + POLL_S_MIN)
            return None
        try:
            if file.empty and file.content.pread(1, 0) and self._was_read_elsewhere(file, now):
                return None
            lines = file.read(now, time.time_ns(), alone=self._names_are_known(file))
            self._fault(file, file.content.damage)
        except Rewritten:
            self._end(known := file.known())
            file.begin_again(known.born)
            file.more = True
            self._scan_at = 0.0
        except OSError as error:
            self._fault(file, str(error))
            self.read_errors += 1
            file.more = False
        quiet = now - file.changed
        self._turns.put(file, 0.0 if file.more else now + file.rest_s(quiet))
        if file.more:
            return lines
        self._unpacking.done(file.key)
        if lines is None and file.acked == file.offset and not file.held:
            if file.gone and quiet > GONE_QUIET_S:
                self._close(file)
            elif file.content.packed:
                self._rest_of_packed(file, quiet)
        return lines

    def _names_are_known(self, file: FollowedFile) -> bool:
        """Tell whether a newer generation than this would have been found."""
        return self._dirty == set() and (self._finder.told or self._scan_at >= file.changed + SCAN_S)

    def _was_read_elsewhere(self, file: FollowedFile, now: float) -> bool:
        """Find out what a file is that was empty until now: tell whether it is a copy or may be; part with a copy."""
        twin = twin_of(file.path, file.content, self._past, self._open, self._finder.found)
        file.empty = twin is Twin.EARLY
        if file.empty:
            self._turns.put(file, now + POLL_S_MIN)
        elif isinstance(twin, Known) and twin.is_in(file.content):
            self._past.take(twin)
            self._open.remove(file)
            file.resume(twin)
            self._open.add(file)
            return False
        elif twin is not Twin.NONE:
            self._park(twin, file.key, file.path, file.content.fd)
            self._forget(file)
        return twin is not Twin.NONE

    def _park(self, twin: Known | Twin | None, key: Key, path: str, fd: int) -> None:
        """Leave a file alone, as the generation that it is."""
        self._parked.put(key, path, fd, copy=twin is Twin.COPY)
        if isinstance(twin, Known):
            self._past.put(twin, key)

    def _fault(self, file: FollowedFile, why: str) -> None:
        file.error = why
        self.failing.pop(file.key, None)
        if why:
            self.failing[file.key] = file

    def _end(self, known: Known) -> None:
        """Remember a content that is no longer at its place, and have its log looked through for it."""
        self._past.end(known)
        self._parked.take_copies()
        self._suspects |= {family(path): known.born for path in known.paths}

    def _rest_of_packed(self, file: FollowedFile, quiet: float) -> None:
        """Close a compressed file that was read to its end; what has no end yet is told when it is long quiet."""
        if file.content.seal(file.offset) or file.content.damage:
            if file.content.damage:
                self._refused[file.path] = file.content.damage
            self._close(file, park=True)
        elif file.size > 0 and quiet > GONE_QUIET_S:
            self._fault(file, "the compressed file ends in the middle; what it holds was read")

    def _close(self, file: FollowedFile, *, park: bool = False) -> None:
        known = file.known()
        if os.fstat(file.content.fd).st_nlink:
            self._past.put(known, file.key)
            if park and file.is_read():  # not what was written since it was looked at
                self._parked.put(file.key, file.path, file.content.fd)
        elif any(map(has_family, file.paths)):
            self._past.end(known)
        else:
            self.forgotten.append(file.name)
        self._forget(file)
        self._parked.take_copies()

    def _forget(self, file: FollowedFile) -> None:
        os.close(file.content.fd)
        self._open.remove(file)
        self.failing.pop(file.key, None)
        self._unpacking.done(file.key)

    # -- finding -----------------------------------------------------------------------------------------------

    def _scan(self, now: float) -> float:
        """Match the globs, and follow what is new; return the seconds that the names took."""
        began = time.monotonic()
        dirty, self._dirty = self._dirty, set()
        sweep = now >= self._sweep_at
        if sweep:
            self._sweep_at = now + POLL_TOLD_S_MAX
            dirty = None
        if self._finder.scan(dirty):
            self.matched = Counter(one.entry.path for one in self._finder.found.values())
        found = self._finder.found
        if self._changed:
            self._changed = False
            self._apply()
        self._place(found)
        absent = map(family, self._parked.take_absent(found))
        fresh = [
            one for key, one in found.items() if not self._open.has(key) and self._parked.differs(one, sweep=sweep)
        ]
        opened = set(map(id, self._open))
        names_s = time.monotonic() - began
        self._waiting = []
        self._late = {log: until for log, until in self._late.items() if until > now}
        self._suspects = dict.fromkeys([*absent, *self._late]) | self._suspects
        for _ in range(LOOKS_MAX):
            if not self._waiting and (fresh or self._suspects):
                self._follow_all(fresh, now)
            fresh = []
        in_order([file for file in self._open if id(file) not in opened], self._open)
        if not self._waiting:
            self._past.forget()
        self._refused = {path: why for path, why in self._refused.items() if os.path.lexists(path)}
        return names_s

    def _place(self, found: Mapping[Key, Found]) -> None:
        """Note where the open files are."""
        for file in self._open:
            one = found.get(file.key)
            if one is not None:
                file.gone, file.reported = False, one.told
                if file.path != one.path:
                    self._open.remove(file)
                    file.path = one.path
                    self._open.add(file)
            elif not file.gone:
                file.gone, file.reported = True, False
                self._turns.put(file, 0.0)

    def _apply(self) -> None:
        """Have the open files read on as the entries wish now, and part with those that none of them wishes."""
        for file in self._open:
            one = self._finder.found.get(file.key)
            entry = one.entry if one is not None else entry_of_log(file.first_path, self._finder)
            # What was renamed, deleted, or found outside of the globs is read to its end if its log is still wanted.
            if entry is None or (one is None and not file.gone and file.is_at_path()):
                file.unwanted = file.gone = True
            else:
                file.dress(entry)
            self._turns.put(file, 0.0)

    def _follow_all(self, fresh: list[Found], now: float) -> None:
        """Open what is new, known files first: what stands beside them as a copy is told by comparing with them."""
        known = [(one, False) for one in fresh if one.key in self._past]
        new = [(one, False) for one in fresh if one.key not in self._past]
        late = self._follow_each(known, now)
        suspects = self._suspects
        if late:
            late += new
        else:
            logs = dict.fromkeys(logs_of(one.path for one, _ in new)) | suspects
            beside = unread_beside(logs, self._past, self._open, self._finder)
            new += [pair for pair in beside if self._parked.differs(pair[0], sweep=True)]
            self._suspects = {}
            late = self._follow_each(new, now)
        self._waiting += [one.key for one, _ in late]
        self._suspects |= {log: suspects.get(log) for log in (family(one.path) for one, _ in late)}

    def _follow_each(self, wanted: list[tuple[Found, bool]], now: float) -> list[tuple[Found, bool]]:
        """Open these, the oldest first; return those for which there was no room."""
        wanted.sort(key=lambda pair: age_of(pair[0]))
        for place, (one, only_known) in enumerate(wanted):
            if not self._follow(one, now, only_known=only_known):
                return wanted[place:]
        return []

    def _follow(self, one: Found, now: float, *, only_known: bool = False) -> bool:
        """Open a file where it goes on; tell whether there was room."""
        if self._open.has(one.key):
            return True
        if not self._make_room():
            return False
        try:
            if (fd := open_found(one)) is None:
                return True
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                self._refused[one.path] = str(error)
            return error.errno not in (errno.EMFILE, errno.ENFILE)
        try:
            followed = self._identified(one, fd, only_known=only_known) if self._finder.allows(fd) else None
        except OSError as error:
            self._refused[one.path] = str(error)
            followed = None
        if followed is None:  # not what was found any more, or nothing to read in it
            os.close(fd)
            return True
        self._parked.take(one.key)
        self._finder.first.discard(one.key)
        self._refused.pop(one.path, None)
        followed.acked, followed.changed, followed.reported = followed.offset, now, one.told
        self._open.add(followed)
        self._turns.put(followed, 0.0)
        return True

    def _identified(self, one: Found, fd: int, *, only_known: bool) -> FollowedFile | None:
        """Return the file at the place where its generation goes on; None when there is nothing to read in it."""
        content = content_of(fd, one.path)
        empty = not content.pread(1, 0)  # asked before it is compared: what comes meanwhile was compared with nothing
        known = self._past.get(one.key)
        if known is not None and not known.is_in(content):
            self._end(known)
            known = None
        twin = known or twin_of(one.path, content, self._past, self._open, self._finder.found)
        if twin is Twin.EARLY:
            self._waiting.append(one.key)
            return None
        known = twin if isinstance(twin, Known) else None
        if twin is Twin.COPY or (only_known if known is None else known.ends(content) or not known.is_in(content)):
            self._park(twin, one.key, one.path, fd)
            return None
        file = found_file(content, one.path, one.key, self._host, known.note.path if known is not None else one.path)
        file.empty = empty
        file.dress(one.entry)
        if known is not None:
            self._past.take(known)
            file.resume(known)
        elif one.entry.start != "beginning" and one.key in self._finder.first:
            status = os.fstat(fd)
            if self._past.predates(family(one.path), status.st_mtime_ns):
                if content.packed:
                    self._parked.put(one.key, one.path, fd)
                    return None
                file.seek(file.line_after(start_offset(one.entry.start, status.st_size), status.st_size))
        return file

    def _make_room(self) -> bool:
        if len(self._open) < files_max():
            return True
        for file in dispensable(self._open):
            if file.gone:  # its writer may still have it
                self._late |= dict.fromkeys(map(family, file.paths), time.monotonic() + GONE_QUIET_S)
            self._close(file, park=file.offset == file.size and not file.gone)
        return len(self._open) < files_max()
