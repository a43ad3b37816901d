"""Looking closer while it goes on: what is sampled, what stands around a hit, what is counted on the way."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from tests.apps.tail.reading import digest_of, polled, searched, tailing


def push(server, records: Iterable[dict[str, Any]]) -> str:
    status, answer = server.push("".join(json.dumps(record) + "\n" for record in records).encode())
    assert status == 200, answer
    return answer["cursor"]


def plain(records: Iterable[bytes]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(record) for record in records]


@pytest.mark.promise(5)
def test_sampling_shows_every_error_and_what_is_rare_and_says_what_of_each_level_it_left_out(server) -> None:
    with tailing(server, q="service:busy", rate_max=50) as tail:
        start = tail.ping["checkpoint"]
        for first in range(0, 40_000, 5_000):
            end = push(
                server,
                (
                    {"service": "busy", "level": "error", "message": f"payment {n} failed"}
                    if n % 1_000 == 999
                    else {"service": "busy", "level": "info", "message": "the cellar is flooded"}
                    if n == 33_333
                    else {"service": "busy", "level": "info", "message": f"order {n} took {n % 7} ms"}
                    for n in range(first, first + 5_000)
                ),
            )
        ping = tail.until_ping(end)
        shown = plain(tail.records)
    wanted = searched(server, q="service:busy")
    assert [one["message"] for one in shown if one["level"] == "error"] == [
        f"payment {n} failed" for n in range(999, 40_000, 1_000)
    ]
    assert "the cellar is flooded" in [one["message"] for one in shown]
    assert len(shown) < 4_000  # 50 a second, and the first of each kind
    assert ping["levels"] == {
        "info": {"shown": len(shown) - 40, "total": 40_000 - 40},
        "error": {"shown": 40, "total": 40},
    }
    assert {gap["why"] for gap in tail.gaps} == {"sampled"}
    assert len(shown) + sum(gap["count"] for gap in tail.gaps) == ping["matched"] == 40_000
    digests = [ping["digest"], *(gap["digest"] for gap in tail.gaps)]
    verified = server.get("/api/v1/verify", q="service:busy", from_=start, to=end)
    assert f"{sum(int(one, 16) for one in digests) % 2**64:016x}" == verified["digest"] == digest_of(wanted)
    assert polled(server, start, end, q="service:busy") == wanted  # what was left out can be fetched


AROUND = 2


def grep(lines: list[tuple[str, bool, int]]) -> Counter[tuple[int, bool]]:
    """Return (number, is context) of what ``grep -C`` prints of each service by itself."""
    found: Counter[tuple[int, bool]] = Counter()
    for service in {service for service, _, _ in lines}:
        mine = [(hit, number) for one, hit, number in lines if one == service]
        near = {at for hit, (is_hit, _) in enumerate(mine) if is_hit for at in range(hit - AROUND, hit + AROUND + 1)}
        for at, (is_hit, number) in enumerate(mine):
            if at in near:
                found[number, not is_hit] += 1
    return found


@pytest.mark.promise(9)
def test_each_hit_has_its_neighbours_of_the_same_stream_those_that_come_later_too(server) -> None:
    chance = random.Random(9)
    services = ("north", "south", "west")
    lines = [(chance.choice(services), chance.random() < 0.04, number) for number in range(6_000)]
    parameters = {"q": "around level:error", "context": AROUND}
    with tailing(server, **parameters) as tail:
        for first in range(0, 6_000, 37):  # neighbours are torn apart all the time
            end = push(
                server,
                (
                    {"service": service, "level": "error" if hit else "info", "message": f"around {number}"}
                    for service, hit, number in lines[first : first + 37]
                ),
            )
        ping = tail.until_ping(end)
    shown = plain(tail.records)
    number = {one["cursor"]: int(one["message"].split()[1]) for one in shown}
    came = Counter((number[one["cursor"]], one.get("context", False)) for one in shown)
    assert came == grep(lines)
    hits = [record for record in tail.records if b'"context":true' not in record]
    assert hits == searched(server, q="around level:error")
    assert (ping["sent"], ping["digest"]) == (len(hits), digest_of(hits))
    for service in services:  # of one stream they come in their order
        own = [number[one["cursor"]] for one in shown if one["service"] == service]
        assert own == sorted(own)


def summed(frames: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    """Add up what frames count, as a client does."""
    total: dict[str, Counter[str]] = {"levels": Counter(), "patterns": Counter(), "service": Counter()}
    for counts in frames:
        total["levels"].update(counts["levels"])
        total["patterns"].update(counts["patterns"])
        total["service"].update(counts["facets"]["service"])
    return total


def searches(server) -> int:
    """How often the store was asked so far."""
    _, _, text = server.call("GET", "/metrics")
    return sum(int(float(count)) for count in re.findall(rb"^tailrace_searches_total\{.*\} (\S+)$", text, re.MULTILINE))


@pytest.mark.promise(10, 11)
def test_counts_that_come_with_the_rows_are_those_of_a_search_and_a_new_pattern_shows_at_once(server) -> None:
    query = "counted"
    asked = searches(server)
    frames = []
    with tailing(server, q=query, counts="true") as tail:
        for first in range(0, 20_000, 1_000):
            push(
                server,
                (
                    {
                        "service": ("shop", "bank", "mail")[n % 3],
                        "level": ("info", "info", "warn", "error")[n % 4],
                        "message": f"counted order {n} took {n % 977} ms",
                    }
                    for n in range(first, first + 1_000)
                ),
            )
        tail.until_count(20_000)
        before = summed(tail.counts)
        push(server, [{"service": "shop", "level": "info", "message": "counted for the very first time"}])
        tail.until_count(20_001)
        frames += tail.counts
        assert "counted for the very first time" not in before["patterns"]
        assert tail.counts[-1]["patterns"] == {"counted for the very first time": 1}
    push(server, [{"service": "mail", "level": "error", "message": f"counted order {n} took 1 ms"} for n in range(99)])
    with tailing(server, q=query, counts="true", after=tail.last_id) as tail:  # adds up over a reconnect
        tail.until_count(99)
        frames += tail.counts
    total = summed(frames)
    assert searches(server) == asked
    assert total["patterns"] == {"counted order * took * ms": 20_099, "counted for the very first time": 1}
    values = server.get("/api/v1/values", q=query, field="service")["values"]
    assert total["service"] == {one["value"]: one["count"] for one in values}
    assert total["levels"] == server.get("/api/v1/verify", q=query)["levels"]
