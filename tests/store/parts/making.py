"""Parts for tests."""

from pathlib import Path

import numpy as np

from tailrace.cursor import Cursor
from tailrace.record import Batch
from tailrace.store.parts.part import Part, PartWriter, sorted_rows
from tests.store.logs import random_batch


def part_of(directory: Path, batch: Batch) -> Part:
    """Write a batch that a log took as a part."""
    target = directory / f"{batch.first}-{batch.next.offset}"
    writer = PartWriter(target, batch.first, batch.next)
    writer.write(sorted_rows(batch))
    return Part(target, writer.finish())


def random_part(directory: Path, first: int, rows: int, seed: int = 1) -> Part:
    """Write random records at an offset of log 1."""
    return part_of(directory, random_batch(np.random.default_rng(seed + first), rows, first).placed(1, first))


def rows_of_part(part: Part) -> list[tuple]:
    """Return (stream, time, offset, message) of every row, in the order of the part."""
    file, found = part.open(), []
    for block in range(len(part.rows)):
        columns = [file.read(block, name).to_pylist() for name in ("stream", "time", "offset", "message")]
        found += list(zip(*columns, strict=True))
    return found


def at(offset: int) -> Cursor:
    """Return a place in log 1."""
    return Cursor(1, offset)
