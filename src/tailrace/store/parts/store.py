"""The store of this machine; its design stands at the head of the package."""

from __future__ import annotations

import fcntl
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from tailrace.cursor import Cursor
from tailrace.errors import Damaged, DataError, Locked
from tailrace.limits import MAINTAIN_S, STORE_EVENTS_MAX
from tailrace.record import Batch
from tailrace.store import TIME_MIN_NS, Cancelled, Progress, Search
from tailrace.store.parts import durable
from tailrace.store.parts.manifest import Manifest
from tailrace.store.parts.merge import choose, merge
from tailrace.store.parts.part import Part, PartDamaged, PartWriter, sorted_rows
from tailrace.store.parts.retain import expired
from tailrace.store.parts.scan import BlockSource, Source, candidates, interleave, ordered, unordered


class PartStore:
    """A ``Store`` in a directory. ``add`` and ``flush`` are for one thread, everything else is for any."""

    def __init__(self, directory: Path, *, retain_s: float | None = None, retain_bytes: int | None = None) -> None:
        """Open the store in ``directory``, or make one. Raises Locked, DiskFull or DataError.

        ``retain_s`` and ``retain_bytes`` bound the age and the size on disk of what is kept; None keeps everything.
        """
        self._directory = directory
        self._retain_s, self._retain_bytes = retain_s, retain_bytes
        self._changed = threading.Condition()
        self._maintaining = threading.Lock()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._waiting: list[Batch] = []
        self._readers: dict[Part, int] = {}
        self._events: deque[str] = deque(maxlen=STORE_EVENTS_MAX)
        with durable.disk_errors(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock_file = (directory / "lock").open("ab")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock_file.close()
            raise Locked(f"another process uses {directory}", cure="Stop it, or choose another --data.") from None
        try:
            with durable.disk_errors(directory):
                self._checkpoint, self._parts = self._open()
        except BaseException:
            self._lock_file.close()
            raise

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Cursor | None:
        """Every record before it is stored, and durable."""
        return self._checkpoint

    @property
    def parts(self) -> Sequence[Part]:
        """The live parts, in the order of the log."""
        return self._parts

    @property
    def rows(self) -> int:
        """Records in the parts."""
        return sum(part.total_rows for part in self._parts)

    @property
    def disk_bytes(self) -> int:
        """What the parts take on disk."""
        return sum(part.disk_bytes for part in self._parts)

    @property
    def events(self) -> list[str]:
        """What went wrong and was dealt with (a part set aside, say), oldest first; the last STORE_EVENTS_MAX."""
        return list(self._events)

    @property
    def waiting_rows(self) -> int:
        """Records that were added and not yet flushed."""
        return sum(len(batch) for batch in self._waiting)

    def held(self, since_ns: int = TIME_MIN_NS) -> list[tuple[Cursor, Cursor]]:
        """Return the ranges [first, next) of the parts that hold anything since then, in the order of the log."""
        return [(part.first, part.next) for part in self._parts if int(part.last_ns.max()) >= since_ns]

    # -- writing -------------------------------------------------------------------------------------------------

    def add(self, batch: Batch) -> None:
        """Take the next batch of the log; nothing is durable before ``flush``.

        It begins where the last one ended, or later when the bus lost what was between; never before.
        """
        end = self._waiting[-1].next if self._waiting else self._checkpoint
        if end is not None and end.epoch == batch.epoch and batch.first < end:
            raise ValueError(f"a batch at {batch.first} was added behind {end}")
        if self._waiting and (end is None or end != batch.first):
            self.flush()  # a part is one unbroken range of one log
        self._waiting.append(batch)

    def flush(self) -> None:
        """Write what was added as a part, durably. Raises DiskFull or DataError; then it is still waiting."""
        if not self._waiting:
            return
        first, end = self._waiting[0].first, self._waiting[-1].next
        with durable.disk_errors(self._directory):
            target = self._directory / _name(first, end)
            if not target.exists():
                fresh = self._fresh(target)
                writer = PartWriter(fresh, first, end)
                try:
                    writer.write(sorted_rows(Batch.concat(self._waiting)))
                    writer.finish()
                finally:
                    writer.abort()
                durable.rename(fresh, target)
            # A directory with that name is whole, and the records of a range never change: an earlier try left it.
            part = Part(target, None)
            with self._changed:
                self._commit((*self._parts, part), end)
                self._waiting = []
                self._changed.notify_all()

    def _commit(self, parts: tuple[Part, ...], checkpoint: Cursor | None) -> None:
        Manifest(checkpoint, tuple((part.directory.name, part.crc) for part in parts)).save(self._directory)
        gone = [part for part in self._parts if part not in parts]
        self._parts, self._checkpoint = parts, checkpoint
        for part in gone:
            if not self._readers.get(part):
                self._remove(part)

    def _fresh(self, target: Path) -> Path:
        fresh = target.with_name(f"new-{target.name}")
        if fresh.exists():
            durable.remove_tree(fresh)
        return fresh

    # -- reading -------------------------------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[PartSnapshot]:
        """Return the store as it is now; its parts stay on disk until it is closed."""
        with self._changed:
            parts, checkpoint = self._parts, self._checkpoint
            for part in parts:
                self._readers[part] = self._readers.get(part, 0) + 1
        try:
            yield PartSnapshot(self, parts, checkpoint)
        finally:
            with self._changed:
                for part in parts:
                    self._readers[part] -= 1
                    if not self._readers[part]:
                        del self._readers[part]
                        if part not in self._parts:
                            self._remove(part)

    def _remove(self, part: Part) -> None:
        """Remove a part that no manifest names: in ``damaged/`` when it is, else for good."""
        if not part.directory.exists():
            return
        try:
            if part.damaged:
                self._keep_aside(part.directory)
            else:
                durable.remove_tree(part.directory)
        except OSError as error:
            self._events.append(f"{part.directory.name} could not be removed ({error}); the next start tries again")

    def _keep_aside(self, path: Path) -> None:
        aside = self._directory / "damaged"
        aside.mkdir(mode=0o700, exist_ok=True)
        place = aside / path.name
        if place.exists():
            durable.remove_tree(place)
        durable.rename(path, place)

    def set_aside(self, damage: PartDamaged) -> None:
        """Take a part that turned out to be damaged out of the store."""
        with self._changed:
            if damage.part not in self._parts:
                return
            damage.part.damaged = True
            self._events.append(damage.message)
            left = tuple(part for part in self._parts if part is not damage.part)
            with durable.disk_errors(self._directory):
                self._commit(left, self._checkpoint)

    # -- merging and retention -----------------------------------------------------------------------------------

    def maintain(self, now_ns: int) -> bool:
        """Drop what is too old or too much, then merge once; tell whether anything changed. Raises DataError."""
        with self._maintaining, durable.disk_errors(self._directory):
            dropped = self._retain(now_ns)
            return self._merge() or dropped

    def _retain(self, now_ns: int) -> bool:
        with self._changed:
            gone = expired(self._parts, now_ns, self._retain_s, self._retain_bytes)
            if gone:
                self._commit(tuple(part for part in self._parts if part not in gone), self._checkpoint)
            return bool(gone)

    def _merge(self) -> bool:
        with self.snapshot() as snapshot:
            inputs = choose(snapshot.parts)
            if not inputs:
                return False
            target = self._directory / _name(inputs[0].first, inputs[-1].next)
            if not target.exists():
                fresh = self._fresh(target)
                try:
                    merge(inputs, fresh, self._check)
                except PartDamaged as damage:
                    self.set_aside(damage)
                    return True
                durable.rename(fresh, target)
            merged = Part(target, None)
            with self._changed:
                if not set(inputs) <= set(self._parts):
                    return (
                        True  # one was dropped meanwhile: the merged part is worth nothing and goes at the next start
                    )
                at = self._parts.index(inputs[0])
                self._commit((*self._parts[:at], merged, *self._parts[at + len(inputs) :]), self._checkpoint)
        return True

    def _check(self) -> None:
        if self._stopping:
            raise Cancelled

    def start(self) -> None:
        """Merge and drop in a background thread, after each flush and every MAINTAIN_S."""
        self._thread = threading.Thread(target=self._maintain_always, name="store", daemon=True)
        self._thread.start()

    def _maintain_always(self) -> None:
        durable.yield_to_others()
        while not self._stopping:
            changed = False
            try:
                changed = self.maintain(time.time_ns())
            except Cancelled:
                return
            except DataError as error:
                self._events.append(error.message)
            with self._changed:
                if not changed and not self._stopping:
                    self._changed.wait(MAINTAIN_S)

    def close(self) -> None:
        """Stop the background work and let go of the directory; what was not flushed stays on the bus."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._lock_file.close()

    # -- opening -------------------------------------------------------------------------------------------------

    def _open(self) -> tuple[Cursor | None, tuple[Part, ...]]:
        try:
            manifest = Manifest.load(self._directory / "manifest")
        except Damaged as error:
            self._events.append(error.message)
            manifest = None
        if manifest is None:
            manifest = self._adopt()
        parts: list[Part] = []
        for name, crc in manifest.parts:
            try:
                parts.append(Part(self._directory / name, crc))
            except Damaged as error:
                self._events.append(f"{error.message}; it was set aside")
                if (self._directory / name).exists():
                    self._keep_aside(self._directory / name)
        live = {part.directory.name for part in parts}
        for path in self._directory.iterdir():
            if path.is_dir() and path.name != "damaged" and path.name not in live:
                durable.remove_tree(path)
        if len(parts) < len(manifest.parts):
            Manifest(manifest.checkpoint, tuple((p.directory.name, p.crc) for p in parts)).save(self._directory)
        return manifest.checkpoint, tuple(parts)

    def _adopt(self) -> Manifest:
        """Make a manifest of the parts that are there: of those that overlap the largest is a merge of the others."""
        previous = None
        with suppress(Damaged):
            previous = Manifest.load(self._directory / "manifest.previous")
        found: list[Part] = []
        paths = [path for path in self._directory.iterdir() if path.is_dir() and (path / "part.json").exists()]
        for path in sorted(paths, key=lambda path: (path / "part.json").stat().st_mtime_ns):
            if not path.name.startswith("new-"):
                with suppress(Damaged):
                    found.append(Part(path, None))
        epochs = list(dict.fromkeys(part.first.epoch for part in found))
        found.sort(key=lambda part: (epochs.index(part.first.epoch), part.first.offset, -part.next.offset))
        kept: list[Part] = []
        for part in found:
            if not kept or kept[-1].next.epoch != part.first.epoch or not part.first < kept[-1].next:
                kept.append(part)
        checkpoint = kept[-1].next if kept else None
        if previous is not None and previous.checkpoint is not None:
            old = previous.checkpoint
            if checkpoint is None or (checkpoint.epoch == old.epoch and checkpoint < old):
                checkpoint = old
        manifest = Manifest(checkpoint, tuple((part.directory.name, part.crc) for part in kept))
        if found or previous is not None:
            self._events.append("the manifest was made again from the parts that are there")
            manifest.save(self._directory)
        return manifest


class PartSnapshot:
    """The store at one moment."""

    def __init__(self, store: PartStore, parts: tuple[Part, ...], checkpoint: Cursor | None) -> None:
        self._store = store
        self.parts = parts
        self.checkpoint = checkpoint

    def scan(self, search: Search, progress: Progress) -> Iterator[Batch]:
        """Yield what a search asks for; see the contract. Raises Cancelled; Damaged when a part turns out to be."""
        try:
            if search.order is None:
                yield from unordered(self._sources(self.parts, search, progress), search, progress)
            elif search.order in ("newest", "oldest"):
                logs = [self._ordered(log, search, progress) for log in self._logs()]
                yield from logs[0] if len(logs) == 1 else interleave(logs, search)
            else:
                yield from self._by_arrival(search, progress)
        except PartDamaged as damage:
            self._store.set_aside(damage)
            raise

    def _by_arrival(self, search: Search, progress: Progress) -> Iterator[Batch]:
        """One log after the other: cursors of different logs have no order but the one in which the logs were made."""
        logs = self._logs()
        newest_first = search.order == "arrival_newest"
        if search.after is not None and not newest_first:
            logs = logs[-1:]  # a place to go on from is a place in the newest log
        for log in reversed(logs) if newest_first else logs:
            for batch in self._ordered(log, search, progress):
                yield batch
                if search.limit is not None:
                    search = replace(search, limit=search.limit - len(batch))
            if search.limit is not None and search.limit <= 0:
                return
            search = replace(search, after=None)

    def _ordered(self, log: Sequence[Part], search: Search, progress: Progress) -> Iterator[Batch]:
        epoch = log[0].first.epoch if log else 0
        return ordered(list(self._sources(log, search, progress)), search, progress, epoch)

    def _logs(self) -> list[list[Part]]:
        """Return the parts of each log, in the order in which the logs were made."""
        logs: dict[int, list[Part]] = {}
        for part in self.parts:
            logs.setdefault(part.first.epoch, []).append(part)
        return list(logs.values()) or [[]]

    def _sources(self, parts: Sequence[Part], search: Search, progress: Progress) -> Iterator[Source]:
        for part in parts:
            progress.check()
            numbers = candidates(part, search)
            if len(numbers):
                file = part.open()
                for number in numbers.tolist():
                    yield BlockSource(part, file, number, progress)


def _name(first: Cursor, end: Cursor) -> str:
    return f"{first}-{end.offset}"
