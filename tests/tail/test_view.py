"""What a tail asks besides its query, over random batches, cuts and resumes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from unittest import mock

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.cursor import Cursor
from tailrace.query import parse
from tailrace.record import Batch, Stream
from tailrace.tail.evaluate import Chunk
from tailrace.tail.view import Evaluation, View
from tailrace.tally import count, digest, named
from tests.batches import batch_of

EPOCH = 0x7F3A


def at(offset: int) -> Cursor:
    return Cursor(EPOCH, offset)


Line = tuple[str, str, int]
LINES: st.SearchStrategy[list[Line]] = st.lists(
    st.tuples(st.sampled_from(["shop", "mail"]), st.sampled_from(["apple 1", "pear", "plum"]), st.sampled_from([3, 5])),
    min_size=1,
    max_size=60,
)
CUTS = st.lists(st.integers(1, 59), max_size=8)


def batch(lines: list[Line]) -> Batch:
    """These (service, message, level), of which ten arrive in a second."""
    streams = pa.array([Stream.of({"service": name}).json for name in ("mail", "shop")], pa.string())
    codes = pa.array([("mail", "shop").index(service) for service, _, _ in lines], pa.int32())
    return Batch.of(
        time=list(range(len(lines))),
        observed=[row * 100_000_000 for row in range(len(lines))],
        level=[level for _, _, level in lines],
        stream=pa.DictionaryArray.from_arrays(codes, streams),
        message=[message for _, message, _ in lines],
    ).placed(EPOCH, 0)


def run(evaluation: Evaluation, lines: Batch, start: int, cuts: list[int]) -> list[Chunk]:
    places = sorted({start, len(lines), *(cut for cut in cuts if start < cut < len(lines))})
    chunks: list[Chunk] = []
    for first, stop in pairwise(places):
        chunks += evaluation.evaluate([lines.slice(first, stop)], at(first), at(stop))
    assert all(one.end == other.start for one, other in pairwise(chunks))
    return chunks


def sent(chunks: list[Chunk]) -> list[dict]:
    return [orjson.loads(record) for chunk in chunks for record in chunk.records]


@settings(max_examples=80, deadline=None)
@given(LINES, CUTS, CUTS, st.integers(0, 59), st.integers(1, 3))
def test_a_resume_at_any_end_of_a_chunk_sends_the_rest_and_nothing_twice(
    lines: list[Line], cuts: list[int], others: list[int], number: int, around: int
) -> None:
    view, records = View(parse("apple", 0), context=around), batch(lines)
    with mock.patch("tailrace.tail.evaluate.TAIL_FRAME_BYTES_MAX", 400):
        chunks = run(Evaluation(view), records, 0, cuts)
        resumed = chunks[number % len(chunks)].end.offset
        again = Evaluation(view)
        again.prime(records.slice(0, resumed))
        rest = run(again, records, resumed, others)
    before = [chunk for chunk in chunks if chunk.end.offset <= resumed]
    assert sent(before) + sent(rest) == sent(chunks)
    assert len({record["cursor"] for record in sent(chunks)}) == len(sent(chunks))


@settings(max_examples=80, deadline=None)
@given(LINES, CUTS, st.integers(0, 2), st.integers(0, 4), st.booleans())
def test_what_is_sent_and_left_out_is_what_matches_per_level_with_its_digest(
    lines: list[Line], cuts: list[int], around: int, rate_max: int, counting: bool
) -> None:
    query, records = parse("apple or pear", 0), batch(lines)
    chunks = run(Evaluation(View(query, around, rate_max, counting)), records, 0, cuts)
    total, found = query.tally(records), sum(chunk.tally + chunk.left_out for chunk in chunks)
    assert (named(found), digest(found)) == (named(total), digest(total))
    shown = [record for record in sent(chunks) if "context" not in record]
    assert Counter(record["level"] for record in shown) == named(sum(chunk.tally for chunk in chunks))
    errors = [row for row, (_, message, level) in enumerate(lines) if level == 5 and message != "plum"]
    assert {str(at(row)) for row in errors} <= {record["cursor"] for record in shown}


@settings(max_examples=50, deadline=None)
@given(LINES, CUTS, st.integers(0, 2), st.integers(0, 2))
def test_counts_are_of_all_that_matches_whatever_is_shown(
    lines: list[Line], cuts: list[int], around: int, rate_max: int
) -> None:
    query, records = parse("apple or pear", 0), batch(lines)
    levels: Counter[str] = Counter()
    services: Counter[str] = Counter()
    for chunk in run(Evaluation(View(query, around, rate_max, counts=True)), records, 0, cuts):
        if chunk.counts:
            said = orjson.loads(chunk.counts)
            levels.update(said["levels"])
            services.update(said["facets"]["service"])
    assert levels == named(query.tally(records))
    assert services == Counter(service for service, message, _ in lines if message != "plum")


def test_lines_around_a_match_are_marked_and_come_just_before_it_and_as_they_arrive() -> None:
    records = batch_of(["a", "b", "apple", "c", "d", "e"]).placed(EPOCH, 0)
    chunks = run(Evaluation(View(parse("apple", 0), context=2)), records, 0, [2])
    assert [(record["message"], record.get("context")) for record in sent(chunks)] == [
        ("a", True),
        ("b", True),
        ("apple", None),
        ("c", True),
        ("d", True),
    ]
    assert count(sum(chunk.tally for chunk in chunks)) == 1


def test_lines_around_a_match_have_the_columns_that_the_query_chooses() -> None:
    records = batch_of(["a", "apple"]).placed(EPOCH, 0)
    chunks = run(Evaluation(View(parse("* | where apple | fields message", 0), context=1)), records, 0, [])
    assert sent(chunks) == [
        {"message": "a", "cursor": "7f3a-0", "context": True},
        {"message": "apple", "cursor": "7f3a-1"},
    ]


def test_a_frame_never_ends_between_a_match_and_the_lines_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.tail.evaluate.TAIL_FRAME_BYTES_MAX", 10)
    records = batch_of(["a", "apple", "b", "c", "apple"]).placed(EPOCH, 0)
    chunks = run(Evaluation(View(parse("apple", 0), context=1)), records, 0, [])
    assert [[orjson.loads(record)["message"] for record in chunk.records] for chunk in chunks] == [
        ["a", "apple"],
        ["b"],
        ["c", "apple"],
    ]


def test_since_leaves_out_lines_that_happened_before_and_arrived_before() -> None:
    records = batch_of(["old", "apple", "a", "apple", "new"], time=10).placed(EPOCH, 0)
    evaluation = Evaluation(View(parse("apple", 0), context=1, counts=True))
    evaluation.since(12, at(4))
    chunks = run(evaluation, records, 0, [])
    assert [record["message"] for record in sent(chunks)] == ["a", "apple", "new"]
    assert (count(chunks[0].tally), orjson.loads(chunks[0].counts)["levels"]) == (1, {"info": 1})


def test_tails_share_what_they_ask_alike() -> None:
    views = [View(parse("a", 0)), View(parse("a", 0), 1), View(parse("a", 0), 0, 1), View(parse("a", 0), counts=True)]
    assert len({view.key for view in views}) == 4
    assert View(parse("a  ", 0), 1).key == views[1].key
    assert [view.is_plain for view in views] == [True, False, False, False]


def test_a_digest_of_what_was_left_out_makes_up_that_of_a_search() -> None:
    query = parse("*", 0)
    records = batch_of(["x"] * 50).placed(EPOCH, 0)
    (chunk,) = run(Evaluation(View(query, rate_max=10)), records, 0, [])
    assert (count(chunk.tally), count(chunk.left_out)) == (15, 35)
    assert digest(chunk.tally + chunk.left_out) == digest(query.tally(records))
