"""A tail is a search over the same cursors, byte for byte, in one order, whoever asks."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import msgspec
import pytest

from tests.apps.programs import TAILRACE, environment, tailrace
from tests.apps.tail.reading import cursor, digest_of, polled, searched, tailing

SAME = "2026-11-20T08:00:00.123456789Z"
LATER = "2026-11-20T08:01:00.000000000Z"


def lines(numbers: list[int], *, service: str, time: str = SAME) -> bytes:
    return b"".join(
        b'{"time":"%b","service":"%b","level":"info","message":"line %d"}\n' % (time.encode(), service.encode(), number)
        for number in numbers
    )


def push_all(server, numbers: list[int], *, service: str, time: str = SAME, at_once: int = 7_000) -> str:
    end = ""
    for first in range(0, len(numbers), at_once):
        status, answer = server.push(lines(numbers[first : first + at_once], service=service, time=time))
        assert status == 200, answer
        end = answer["cursor"]
    return end


@pytest.mark.promise(1)
def test_a_tail_is_the_search_byte_for_byte_though_all_have_one_time_and_some_come_late(server) -> None:
    numbers = list(range(100_000))
    random.Random(1).shuffle(numbers)
    late = numbers[90_000:]
    with tailing(server, q="line service:one") as tail:
        start = tail.ping["checkpoint"]
        push_all(server, numbers[:90_000], service="one")
        push_all(server, list(range(40_000)), service="newer", time=LATER)  # with them the store writes a part
        end = push_all(server, late, service="one")
        tail.until_count(100_000)
        ping = tail.until_ping(end)
        verified = server.get("/api/v1/verify", q="line service:one", from_=start, to=end)
        assert tail.records == searched(server, q="line service:one")
        assert sorted(int(message.split()[1]) for message in tail.messages) == list(range(100_000))
        assert (tail.gaps, ping["from"], ping["sent"], ping["matched"]) == ([], start, 100_000, 100_000)
        assert (verified["count"], verified["digest"]) == (100_000, ping["digest"])
        assert digest_of(tail.records) == ping["digest"]


@pytest.mark.promise(20)
def test_ten_thousand_lines_of_one_nanosecond_have_one_order_in_search_tail_context_export_and_pages(server) -> None:
    numbers = list(range(10_000))
    random.Random(20).shuffle(numbers)
    push_all(server, numbers, service="same", at_once=999)
    order = searched(server, q="service:same")
    assert [int(msgspec.json.decode(record)["message"].split()[1]) for record in order] == numbers

    assert searched(server, q="service:same", order="oldest") == order
    assert searched(server, q="service:same", order="newest") == order[::-1]
    with tailing(server, q="service:same", since="2026-11-20T07:00:00Z") as tail:
        assert tail.until_count(10_000).records == order
    first, last = cursor(order[0]), cursor(order[-1])
    assert polled(server, str(first), str(last + 1), q="service:same") == order

    asked = {"q": "service:same", "order": "oldest", "limit": 3_000}
    pages, after = [], None
    while after or not pages:
        page = server.get("/api/v1/search", **asked, **({"after": after} if after else {}))
        pages.append(page["records"])
        after = page["next"]
    assert [record for page in pages for record in page] == [json.loads(record) for record in order]
    assert len(pages) >= 4

    around = server.get("/api/v1/context", cursor=json.loads(order[5_000])["cursor"], before=400, after=400)
    assert around["records"] == [json.loads(record) for record in order[4_600:5_401]]


ODD = [
    {"message": 'quotes " and \\ and \u2028 and \x7f', "service": "odd", "n": 1e300, "m": 0.1, "big": 2**60},
    {"message": "订单 café 🜁", "service": "odd", "deep": {"a": [1, None, True, {"b": ""}]}, "trace_id": "4bf9"},
    {"message": "a\ttab\nand a second line", "service": "odd", "level": "error", "time": SAME},
    {"message": "", "service": "odd", "one": 1.0, "exp": 1e-7},
]


@contextmanager
def running(*command: str) -> Iterator[Iterator[bytes]]:
    """Give the lines of a command that does not end by itself."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        try:
            assert process.stdout
            yield process.stdout
        finally:
            process.kill()


@pytest.mark.promise(19)
def test_curl_the_command_and_the_search_give_the_same_bytes(server) -> None:
    status, answer = server.push(("\n".join(json.dumps(one) for one in ODD) + "\n").encode())
    assert status == 200, answer
    wanted = searched(server, q="service:odd")
    assert len(wanted) == len(ODD)
    after = str(cursor(wanted[0]))

    with running("curl", "-sN", f"{server.url}/api/v1/tail?q=service:odd&after={after}") as lines_of:
        data = next(line for line in lines_of if line.startswith(b'data: {"records"'))
    assert data[6:].startswith(b'{"records":[' + b",".join(wanted) + b"]")
    command = ["tail", "service:odd", "--after", after, "--output", "json", "--server", server.url]
    with running(*TAILRACE, *command) as lines_of:
        assert [line.rstrip(b"\n") for line in islice(lines_of, len(wanted))] == wanted
    found = tailrace("search", "service:odd", "--order", "arrival", "--output", "json", server=server)
    assert found.stdout.splitlines() == wanted
