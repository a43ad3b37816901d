"""Clients that are slow, deaf, or stay for ever: what they are told, and what the others notice."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

import pytest

from tests.apps.programs import until
from tests.apps.tail.reading import Tail, digest_of, polled, tailing
from tests.apps.tail.serving import Serving

WIDE = "x" * 4_000
"""Lines that fill what lies between a server and a client that does not read."""
NARROW = 4096
"""Bytes that the socket of a slow client takes."""
TAILS = 500
STALLED = 5


def push(server, service: str, numbers: range, *, wide: str = "") -> str:
    levels = ("error", *["info"] * 9)
    status, answer = server.push(
        "".join(
            json.dumps({"service": service, "level": levels[n % 10], "message": f"line {n} {wide}"}) + "\n"
            for n in numbers
        ).encode()
    )
    assert status == 200, answer
    return answer["cursor"]


def open_tail(
    port: int, target: str, receive_bytes: int | None = None
) -> tuple[socket.socket, http.client.HTTPResponse]:
    """Open a tail; nothing is read but the head of the answer."""
    wire = socket.socket()
    if receive_bytes:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    wire.settimeout(60)
    wire.connect(("127.0.0.1", port))
    wire.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer = http.client.HTTPResponse(wire)
    answer.begin()
    return wire, answer


@pytest.mark.promise(4)
def test_what_a_slow_client_is_not_shown_is_counted_and_can_be_fetched(server) -> None:
    wire, answer = open_tail(server.port, "/api/v1/tail?q=service:slow&behind=500", NARROW)
    with wire, answer:
        tail = Tail(answer)
        tail.until(lambda: tail.pings)
        start = tail.ping["checkpoint"]
        with tailing(server, q="service:slow") as other:
            for first in range(0, 4_000, 500):
                end = push(server, "slow", range(first, first + 500), wide=WIDE)
            wanted = other.until_count(4_000).records
        ping = tail.until_ping(end)
    assert [gap["why"] for gap in tail.gaps] == ["slow"] * len(tail.gaps) != []
    assert len(tail.records) + sum(gap["count"] for gap in tail.gaps) == ping["matched"] == 4_000
    assert (ping["from"], ping["sent"], ping["digest"]) == (start, len(tail.records), digest_of(tail.records))

    skipped = []
    for gap in tail.gaps:
        fetched = polled(server, gap["from"], gap["to"], q="service:slow", behind=0)
        errors = sum(b'"level":"error"' in record for record in fetched)
        assert (len(fetched), errors, digest_of(fetched)) == (gap["count"], gap["levels"]["error"], gap["digest"])
        skipped += fetched
    assert sorted(tail.records + skipped) == sorted(wanted)


@pytest.mark.promise(15)
def test_of_500_tails_the_5_that_stall_hold_nobody_up(server) -> None:
    """Two read what the stalled ones do not; the others want a little of it, which comes last."""
    stalled = [open_tail(server.port, "/api/v1/tail?q=service:many", NARROW) for _ in range(STALLED)]
    target = "/api/v1/tail?q=service:many+level:error"
    few = [open_tail(server.port, target) for _ in range(TAILS - STALLED - 2)]
    try:
        assert server.get("/api/v1/status")["tails"] == TAILS - 2
        with tailing(server, q="service:many") as one, tailing(server, q="service:many") as other:
            for first in range(0, 1_000, 100):
                push(server, "many", range(first, first + 100), wide=WIDE if first < 500 else "")
            assert len(one.until_count(1_000).records) == len(other.until_count(1_000).records) == 1_000
        for _, answer in few:
            tail = Tail(answer).until_count(100)
            assert tail.messages[-1].startswith("line 990")
    finally:
        for wire, answer in stalled + few:
            answer.close()
            wire.close()
    until(lambda: server.get("/api/v1/status")["tails"] == 0)


@pytest.mark.promise(16)
def test_a_tail_has_no_age_at_which_it_ends(tmp_path: Path) -> None:
    """A thousand signs of life are three hours; neither a clock nor a count ends it."""
    serving = Serving(tmp_path, ping_s=0.002)
    try:
        with tailing(serving) as tail:
            tail.until(lambda: len(tail.pings) > 1_000)
            serving.history.append("still here")
            assert tail.until_count(1).messages == ["still here"]
    finally:
        serving.close()
