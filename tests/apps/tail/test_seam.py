"""From history into live, from live into a pause and back, from one query to another: there is no seam."""

from __future__ import annotations

from itertools import count, islice
from pathlib import Path

import msgspec
import pytest

from tailrace.cursor import Cursor
from tests.apps.tail.reading import cursor, polled, searched, tailing
from tests.apps.tail.serving import Serving

OLD = 40_000
STEPS = 8
POURED = 1_000
"""Lines that arrive before each step of the history is there."""


def lines(service: str, numbers: range) -> bytes:
    """JSON lines, of which each tenth is an error."""
    levels = ("error", *["info"] * 9)
    return b"".join(
        b'{"service":"%b","level":"%b","message":"line %d"}\n' % (service.encode(), levels[n % 10].encode(), n)
        for n in numbers
    )


def push(server, service: str, numbers: range) -> str:
    status, answer = server.push(lines(service, numbers))
    assert status == 200, answer
    return answer["cursor"]


@pytest.mark.promise(3)
def test_history_that_is_slow_while_lines_pour_in_flows_into_live_without_a_seam(tmp_path: Path, monkeypatch) -> None:
    serving = Serving(tmp_path)
    history, number = serving.history, count()
    try:
        for _ in range(STEPS):
            history.append(*[f"line {n}" for n in islice(number, OLD // STEPS)], time=10**18)
        scan = history.scan

        def slow(*given):
            """Give a step of the history only when more has arrived meanwhile."""
            for batch in scan(*given):
                for _ in range(5):
                    history.append(*[f"line {n}" for n in islice(number, POURED // 5)], time=10**18)
                yield batch

        monkeypatch.setattr(history, "scan", slow)
        with tailing(serving, since=str(10**18 - 1)) as tail:
            total = OLD + STEPS * POURED
            tail.until_count(total)
            history.append(*[f"line {n}" for n in islice(number, 10)])
            assert tail.until_count(total + 10).messages == [f"line {n}" for n in range(total + 10)]
            assert tail.gaps == []
    finally:
        serving.close()


@pytest.mark.promise(6)
def test_a_late_line_comes_at_once_between_the_others_and_says_its_own_time_and_when_it_arrived(server) -> None:
    with tailing(server, q="service:late") as tail:
        now = "2026-11-20T08:01:00Z"
        late = "2026-11-20T08:00:00.5Z"
        for number, time in enumerate((now, late, now)):
            server.push(b'{"time":"%b","service":"late","message":"line %d"}\n' % (time.encode(), number))
            tail.until_count(number + 1)
        records = [msgspec.json.decode(record) for record in tail.records]
        assert [record["time"] for record in records] == [
            "2026-11-20T08:01:00.000000000Z",
            "2026-11-20T08:00:00.500000000Z",
            "2026-11-20T08:01:00.000000000Z",
        ]
        assert sorted(record["observed"] for record in records) == [record["observed"] for record in records]
        assert searched(server, q="service:late") == tail.records
        in_its_place = [tail.records[1], tail.records[0], tail.records[2]]
        assert searched(server, q="service:late", order="oldest") == in_its_place


@pytest.mark.promise(7)
def test_a_pause_counts_what_comes_by_level_and_who_resumes_misses_nothing(server) -> None:
    with tailing(server, q="service:paused") as tail:
        push(server, "paused", range(100))
        before = tail.until_count(100).records
    for first in range(100, 60_100, 10_000):
        end = push(server, "paused", range(first, first + 10_000))
        push(server, "other", range(1_000))
    waiting = server.get("/api/v1/verify", q="service:paused", from_=tail.last_id)
    assert waiting["levels"] == {"info": 54_000, "error": 6_000}
    with tailing(server, q="service:paused", after=tail.last_id) as tail:
        push(server, "paused", range(60_100, 60_200))
        assert before + tail.until_count(60_100).records == searched(server, q="service:paused")
        assert (tail.gaps, Cursor.parse(end) <= Cursor.parse(tail.last_id)) == ([], True)


@pytest.mark.promise(8)
def test_a_query_is_narrowed_and_widened_again_and_what_was_hidden_comes_back(server) -> None:
    wide, narrow = "service:narrow", "service:narrow level:error"
    with tailing(server, q=wide) as tail:
        begin = tail.ping["checkpoint"]
        push(server, "narrow", range(500))
        seen = tail.until_count(500).records
    with tailing(server, q=narrow, after=tail.last_id) as tail:  # narrowed, from where the wide one was
        push(server, "narrow", range(500, 1_000))
        errors = tail.until_count(50).records
    assert [record for record in polled(server, begin, tail.last_id, q=narrow) if record not in errors] == [
        record for record in seen if b'"level":"error"' in record
    ]
    with tailing(server, q=wide, after=begin) as tail:  # widened, from the beginning of what is on the screen
        push(server, "narrow", range(1_000, 1_100))
        assert tail.until_count(1_100).records == searched(server, q=wide)


@pytest.mark.promise(18)
def test_a_link_to_a_stretch_gives_everybody_the_same_first_and_last_row(server) -> None:
    first = push(server, "link", range(50))
    stop = push(server, "link", range(50, 250))
    push(server, "link", range(250, 300))
    views = [polled(server, first, stop, q="service:link") for _ in range(2)]
    with tailing(server, q="service:link", after=first) as tail:
        tail.until_count(250)
    views.append([record for record in tail.records if cursor(record) < Cursor.parse(stop)])
    assert views[0] == views[1] == views[2]
    assert [msgspec.json.decode(views[0][end])["message"] for end in (0, -1)] == ["line 50", "line 249"]
    verified = server.get("/api/v1/verify", q="service:link", from_=first, to=stop)
    assert verified["count"] == len(views[0]) == 200
