"""What a query finds in a batch, as chunks."""

from __future__ import annotations

from itertools import pairwise

import orjson
import pytest

from tailrace.cursor import Cursor
from tailrace.query import parse
from tailrace.tail import evaluate as module
from tailrace.tail.evaluate import evaluate
from tailrace.tally import count, digest
from tests.batches import batch_of

EPOCH = 0x7F3A


def at(offset: int) -> Cursor:
    return Cursor(EPOCH, offset)


def test_a_burst_is_cut_into_chunks_that_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAIL_FRAME_BYTES_MAX", 600)
    batch = batch_of(["apple" + "x" * 100 if row % 3 == 0 else "pear" for row in range(20)]).placed(EPOCH, 100)
    chunks = evaluate(parse("apple*", 0), [batch], at(100), at(200))
    assert (chunks[0].start, chunks[-1].end) == (at(100), at(200))
    assert all(one.end == other.start for one, other in pairwise(chunks))
    assert len(chunks) > 2
    found = [orjson.loads(record)["cursor"] for chunk in chunks for record in chunk.records]
    assert found == [str(at(offset)) for offset in range(100, 120, 3)]


def test_chunks_together_count_what_the_query_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAIL_FRAME_BYTES_MAX", 600)
    batch = batch_of([f"apple {row}" for row in range(20)]).placed(EPOCH, 0)
    query = parse("apple", 0)
    total = sum(chunk.tally for chunk in evaluate(query, [batch], at(0), at(20)))
    assert (count(total), digest(total)) == (20, digest(query.tally(batch)))


def test_no_matches_are_one_chunk() -> None:
    batch = batch_of(["pear"] * 4).placed(EPOCH, 1)
    (only,) = evaluate(parse("apple", 0), [batch], at(1), at(5))
    assert (only.start, only.end, only.records, only.tally) == (at(1), at(5), (), 0)


def test_rows_of_chosen_fields_count_the_levels_of_their_records() -> None:
    batch = batch_of(["apple"]).placed(EPOCH, 0)
    (only,) = evaluate(parse("apple | fields host", 0), [batch], at(0), at(1))
    assert count(only.tally) == 1
