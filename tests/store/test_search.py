"""History: what a search over store and bus finds is what a plain reading of one log finds."""

import numpy as np
import orjson
import pytest

from tailrace.cursor import Cursor
from tailrace.errors import BadInput, TooLarge
from tailrace.query import parse
from tailrace.store import Progress, Search
from tailrace.store.http import Questions
from tailrace.store.parts import merge, part, scan
from tailrace.store.parts.store import PartStore
from tailrace.store.search import History
from tailrace.store.words import SearchParameters
from tests.store.logs import (
    STREAMS,
    Everything,
    LevelIs,
    Word,
    append,
    expected,
    open_bus,
    progress,
    random_batch,
    random_search,
    rows_of,
)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(part, "BLOCK_ROWS", 16)
    monkeypatch.setattr(scan, "ORDERED_STEP_ROWS", 40)
    monkeypatch.setattr(merge, "PARTS_MERGE_MIN", 3)


@pytest.fixture
def made(tmp_path):
    """A log of which the first half is in parts, some of them merged, and the rest on the bus."""
    rng = np.random.default_rng(7)
    bus, store = open_bus(tmp_path), PartStore(tmp_path / "parts")
    log = []
    for number in range(24):
        batch = append(bus, random_batch(rng, int(rng.integers(1, 80)), 100 * number))
        log.append(batch)
        if number < 12:
            store.add(batch)
            if number % 2:
                store.flush()
                store.maintain(0)
    yield bus, store, log
    store.close()
    bus.close()


@pytest.mark.parametrize("seed", range(20))
def test_any_search_finds_what_one_log_would_give(made, seed):
    bus, store, log = made
    rng = np.random.default_rng(seed)
    for _ in range(15):
        search = random_search(rng, log)
        found = rows_of(History(bus, store).scan(search, progress()))
        assert (found if search.order else sorted(found)) == expected(log, search), search


QUERIES = [
    "failed",
    "not failed",
    "failed or paid timeout",
    '"order paid"',
    "conn*",
    "*ail*",
    "/n1[0-9]$/",
    "überfall",
    "service:auth",
    "service:(auth or mail) retry",
    "level:error",
    "level:>=warn cart",
    "number:>500",
    "kind:k3",
    "kind:* not kind:k1",
    "trace_id:t300",
    "*:k2",
    "nowhere",
]


@pytest.mark.parametrize("text", QUERIES)
def test_a_query_finds_the_same_in_parts_and_on_the_bus(made, text):
    bus, store, log = made
    for order in (None, "newest", "arrival"):
        search = Search(parse(text, 0).filter, order=order)
        found = rows_of(History(bus, store).scan(search, progress()))
        assert (found if order else sorted(found)) == expected(log, search)


def test_pages_join_without_a_seam(made):
    bus, store, log = made
    found, after = [], None
    while page := rows_of(
        History(bus, store).scan(Search(Everything(), order="newest", limit=37, after=after), progress())
    ):
        found += page
        after = page[-1][1], Cursor(bus.epoch, page[-1][0])
    assert found == expected(log, Search(Everything(), order="newest"))


@pytest.mark.parametrize("by", [None, "level", "service"])
def test_a_histogram_counts_every_record_once(made, by):
    bus, store, log = made
    histogram = History(bus, store).histogram(Search(Everything()), 100, by, progress())
    rows = expected(log, Search(Everything()))
    assert sum(counts.sum() for counts in histogram.counts.values()) == len(rows)
    total = sum(histogram.counts.values())
    times = np.array([row[1] for row in rows])
    assert total.tolist() == np.bincount((times - histogram.first_ns) // 100, minlength=len(total)).tolist()


def test_a_histogram_by_level_has_the_counts_of_each(made):
    bus, store, log = made
    histogram = History(bus, store).histogram(
        Search(Everything(), first_ns=0, last_ns=10**6), 10**7, "level", progress()
    )
    wanted = expected(log, Search(LevelIs(5), first_ns=0, last_ns=10**6))
    assert histogram.counts["error"].tolist() == [len(wanted)]


def test_a_histogram_of_nothing_is_one_empty_bucket(made):
    bus, store, _ = made
    histogram = History(bus, store).histogram(Search(Word("nowhere")), 100, None, progress())
    assert histogram.counts[None].tolist() == [0]


def test_too_many_buckets_are_refused(made):
    bus, store, _ = made
    with pytest.raises(TooLarge):
        History(bus, store).histogram(Search(Everything(), first_ns=0, last_ns=10**9), 1, None, progress())


def test_values_come_with_their_counts_most_frequent_first(made):
    bus, store, log = made
    values = History(bus, store).values(Search(Everything()), "service", 2, progress())
    rows = expected(log, Search(Everything()))
    counts = sorted((sum(row[5] == stream.json for row in rows) for stream in STREAMS), reverse=True)
    assert list(values.values()) == counts[:2]


def test_fields_and_labels_are_found_with_their_counts(made):
    bus, store, log = made
    facets = History(bus, store).fields(Search(Everything()), progress())
    rows = expected(log, Search(Everything()))
    assert facets.complete
    assert facets.counts["host"] == facets.sampled == len(rows)
    assert facets.counts["number"] == sum(row[6] != "{}" for row in rows)


def test_streams_have_their_counts_and_times(made):
    bus, store, log = made
    streams = History(bus, store).streams(Search(Everything()), progress())
    for stream in STREAMS:
        rows = [row for row in expected(log, Search(Everything())) if row[5] == stream.json]
        facts = streams[stream]
        assert (facts.rows, facts.first_ns, facts.last_ns) == (
            len(rows),
            min(row[1] for row in rows),
            max(row[1] for row in rows),
        )


@pytest.mark.parametrize("batch_number", [0, 5, 11, 12, 23])
def test_context_is_the_lines_around_a_record_in_its_stream(made, batch_number):
    bus, store, log = made
    target = log[batch_number].first
    found, index = History(bus, store).context(target, 5, 6, progress())
    rows = rows_of([found])
    assert rows[index][0] == target.offset
    same = [row for row in expected(log, Search(Everything())) if row[5] == rows[index][5]]
    at = same.index(rows[index])
    assert rows == same[max(at - 5, 0) : at + 7]


def test_the_context_of_a_record_that_is_not_there_is_an_error(made):
    bus, store, _ = made
    with pytest.raises(BadInput):
        History(bus, store).context(bus.next, 1, 1, progress())


def test_held_is_everything_when_nothing_was_removed(made):
    bus, store, log = made
    assert History(bus, store).held(log[0].first + 3) == (log[0].first + 3, bus.next)


def test_stretches_are_the_parts_with_something_since_and_the_bus(made):
    bus, store, _ = made
    history = History(bus, store)
    assert history.stretches(-(2**63)) == [*store.held(), (store.checkpoint, bus.next)]
    assert history.stretches(2**63 - 1) == [(store.checkpoint, bus.next)]


def test_held_begins_behind_what_retention_removed(made, tmp_path):
    bus, store, log = made
    store.close()
    small = PartStore(tmp_path / "parts", retain_bytes=1)
    small.maintain(0)
    assert History(bus, small).held(log[0].first) == (small.checkpoint, bus.next)
    small.close()


@pytest.mark.parametrize("lines", [False, True])
def test_a_search_that_is_out_of_time_says_that_it_is_not_complete(made, lines):
    bus, store, _ = made
    work = Questions(History(bus, store)).search(SearchParameters(), lines=lines)
    answer = orjson.loads(b"".join(work(Progress(seconds_max=-1))))
    assert (answer["end"] if lines else answer)["complete"] is False
