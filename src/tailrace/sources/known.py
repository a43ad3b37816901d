"""What is known of a generation: how far it was read, and how its content is told from another.

A path is not a file, an inode is used again, and two files may begin alike: a content is the generation when its first
bytes and those before the offset are the ones that were read (hashes of them are kept, not the bytes).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from tailrace.limits import MARK_BYTES
from tailrace.record import Origin
from tailrace.sources.content import Content, seal_of


class Note(msgspec.Struct, omit_defaults=True):
    """What is kept beside a position to know the file again: ``prefix`` hashes its first ``prefix_bytes``.

    ``path`` is where it was found at first, ``real`` where that led to when it was a link; ``seal`` is that of a
    compressed file that was read to its end.
    """

    path: str
    prefix_bytes: int
    prefix: str
    mark: str
    seal: str = ""
    real: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """A generation that was read before, up to ``offset``."""

    name: str
    offset: int
    note: Note

    @staticmethod
    def of(origin: Origin) -> Known | None:
        """Read what ``FollowedFile`` wrote; None for a note that is none."""
        try:
            return Known(origin.source, origin.next, msgspec.json.decode(origin.note, type=Note))
        except msgspec.DecodeError:
            return None

    @property
    def key(self) -> tuple[int, int]:
        """Device and inode."""
        device, inode, _ = self.name.removeprefix("file:").split("-")
        return int(device, 16), int(inode, 16)

    @property
    def born(self) -> int:
        """When it was first seen, in nanoseconds since 1970."""
        return int(self.name.rpartition("-")[2], 16)

    @property
    def paths(self) -> list[str]:
        """The names that its log is known by."""
        return names_of(self.note.path, self.note.real)

    def is_in(self, content: Content) -> bool:
        """Tell whether a content begins with what was read. Raises OSError."""
        if not Head(content).is_of(self):
            return False
        if self.note.seal and self.note.seal == seal_of(content.fd):
            return True
        mark = content.pread(min(MARK_BYTES, self.offset), max(0, self.offset - MARK_BYTES))
        return len(mark) == min(MARK_BYTES, self.offset) and hash_of(mark) == self.note.mark

    def ends(self, content: Content) -> bool:
        """Tell whether a compressed file was read to its end and has not changed since."""
        return content.packed and bool(self.note.seal) and self.note.seal == seal_of(content.fd)


class Head:
    """The first bytes of a content, to compare it with many that are known: each length is read and hashed once."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._hashes: dict[int, str] = {}

    def is_of(self, known: Known) -> bool:
        """Tell whether a generation has the same first bytes. Raises OSError."""
        length = known.note.prefix_bytes
        if length not in self._hashes:
            data = self._content.pread(length, 0)
            self._hashes[length] = hash_of(data) if len(data) == length else ""
        return self._hashes[length] == known.note.prefix


def names_of(*paths: str) -> list[str]:
    """Return the paths that there are, each once."""
    return list(dict.fromkeys(filter(None, paths)))


def hash_of(data: bytes) -> str:
    """Return a hash of 64 bits, in hex."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()
