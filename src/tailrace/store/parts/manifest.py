r"""The manifest: which parts are live and how far the store is. It is the only thing that is ever changed.

Bytes: eight hex digits (crc32 of what follows the line), a newline, then JSON:
``{"format":1,"checkpoint":"7f3a-131072"|null,"parts":[{"name":"7f3a-0-131072","crc":123}, ...]}``, parts in the order
of the log. It is replaced by a rename; the one before stays beside it as ``manifest.previous``.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import orjson

from tailrace.cursor import Cursor
from tailrace.errors import Damaged, DataError
from tailrace.store.parts import durable

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """Live parts as (directory name, checksum of ``part.json``), and the checkpoint behind them."""

    checkpoint: Cursor | None = None
    parts: tuple[tuple[str, int], ...] = ()

    def save(self, directory: Path) -> None:
        """Make this the manifest of the store in ``directory``, durably, in one step."""
        text = orjson.dumps(
            {
                "format": FORMAT,
                "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
                "parts": [{"name": name, "crc": crc} for name, crc in self.parts],
            }
        )
        path = directory / "manifest"
        durable.replace_file(path, b"%08x\n%b" % (zlib.crc32(text), text), directory / "manifest.previous")

    @staticmethod
    def load(path: Path) -> Manifest | None:
        """Read one; None when there is none. Raises Damaged; DataError for another format."""
        try:
            head, _, text = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        if head != b"%08x" % zlib.crc32(text):
            raise Damaged(f"{path} is damaged", cure="It is made again from the parts that are there.")
        facts = orjson.loads(text)
        if facts["format"] != FORMAT:
            raise DataError(f"{path} has format {facts['format']}", cure="Use the version of Tailrace that wrote it.")
        checkpoint = None if facts["checkpoint"] is None else Cursor.parse(facts["checkpoint"])
        return Manifest(checkpoint, tuple((part["name"], part["crc"]) for part in facts["parts"]))
