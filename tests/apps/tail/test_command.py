"""``tailrace tail`` as a real process, against a real server."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.tail import WHYS, gap_text
from tailrace.frame import WHYS as SERVER_WHYS
from tests.apps.programs import TAILRACE, environment, tailrace
from tests.apps.tail.serving import Serving

SHOP = [
    {"time": f"2026-11-20T08:00:{second:02}Z", "level": level, "service": service, "message": message, "n": second}
    for second, level, service, message in [
        (10, "info", "shop", "order 1 placed"),
        (30, "error", "支付", "支付失败 order 2"),
        (12, "warn", "shop", "payment of order 1 is slow\x1b[2J"),
        (31, "info", "shop", "order 3 placed"),
    ]
]


def push(server: Any, *lines: dict[str, Any]) -> None:
    server.push("".join(json.dumps(line) + "\n" for line in lines).encode())


@pytest.fixture(scope="module")
def shop(server: Any) -> tuple[Any, str, str]:
    """A server with four lines, the cursor of the first and the one behind the last."""
    push(server, *SHOP)
    cursor = server.get("/api/v1/search", order="arrival", limit=1)["records"][0]["cursor"]
    epoch, _, offset = cursor.partition("-")
    return server, cursor, f"{epoch}-{int(offset) + len(SHOP)}"


@contextmanager
def running(url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A tail that is running."""
    process = subprocess.Popen(
        [*TAILRACE, "tail", *arguments, "--server", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_command_goes_on_over_a_restart_and_says_so(tmp_path: Path) -> None:
    serving = Serving(tmp_path)
    serving.history.append("one", "t\x1b[2Jwo")
    try:
        with running(f"http://127.0.0.1:{serving.port}", "--last", "1") as tail:
            assert tail.stdout is not None
            assert "t\\e[2Jwo" in tail.stdout.readline()
            serving.stop()
            serving.history.append("while away")
            serving.start()
            assert "while away" in tail.stdout.readline()
            serving.history.append("live")
            assert "live" in tail.stdout.readline()
            tail.send_signal(signal.SIGINT)
            _, said = tail.communicate(timeout=20)
            assert tail.returncode == 130
            assert "connected again" in said
    finally:
        serving.close()


def test_json_is_byte_by_byte_what_curl_reads(shop: Any) -> None:
    server, start, end = shop
    done = tailrace("tail", "--after", start, "--until", end, "--output", "json", server=server)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", f"/api/v1/tail?after={start}")
    data = next(line for line in connection.getresponse() if line.startswith(b'data: {"records":['))
    connection.close()
    assert done.stdout.splitlines() == re.findall(rb'\{"time".*?"cursor":"[^"]*".*?\}(?=,\{"time"|\],)', data)
    assert len(done.stdout.splitlines()) == len(SHOP)


@pytest.mark.parametrize("order", ["arrival", "event"])
def test_json_in_every_order_has_the_bytes_of_the_search(shop: Any, order: str) -> None:
    server, start, end = shop
    done = tailrace(
        "tail", "n:*", "--after", start, "--until", end, "--output", "json", "--order", order, server=server
    )
    found = tailrace("search", "n:*", "--output", "json", "--order", order.replace("event", "oldest"), server=server)
    assert done.stdout == found.stdout


def test_text_marks_what_is_late_and_commands_no_terminal(shop: Any) -> None:
    server, start, end = shop
    done = tailrace("tail", "--after", start, "--until", end, server=server)
    lines = done.stdout.decode().splitlines()
    assert lines[2] == "2026-11-20 08:00:12.000 warn  shop late 18s payment of order 1 is slow\\e[2J"
    assert sum("late" in line for line in lines) == 1


def test_raw_is_the_messages_as_they_are(shop: Any) -> None:
    server, start, end = shop
    done = tailrace("tail", "--after", start, "--until", end, "--output", "raw", server=server)
    assert done.stdout.decode() == "".join(f"{line['message']}\n" for line in SHOP)


def test_templates_and_fields_say_what_is_shown(shop: Any) -> None:
    server, start, end = shop
    part = ("--after", start, "--until", end)
    done = tailrace("tail", "level:error", *part, "--template", "{service:6}|{n}|{message}", server=server)
    assert done.stdout.decode() == "支付  |30|支付失败 order 2\n"
    assert tailrace("tail", "error", *part, "--template", "{", server=server).returncode == 2
    done = tailrace("tail", "level:error", *part, "--fields", "n,none", server=server)
    assert done.stdout.decode().endswith("支付失败 order 2 n=30\n")


def test_a_wrong_use_is_explained_before_anything_is_shown(shop: Any) -> None:
    server, start, _ = shop
    for wrong in (["--until", start], ["--highlight", "/(/"], ["--verify", "--since", "1h"]):
        done = tailrace("tail", *wrong, server=server)
        assert (done.returncode, done.stdout) == (2, b"")
        assert len(done.stderr.splitlines()) == 2


def test_verify_compares_with_a_search_and_says_what_was_proved(shop: Any) -> None:
    server, start, _ = shop
    with running(server.url, "order", "--after", start, "--verify") as tail:
        assert tail.stdout is not None
        for _ in SHOP:
            tail.stdout.readline()
        tail.send_signal(signal.SIGINT)
        _, said = tail.communicate(timeout=20)
    assert tail.returncode == 0
    assert re.search(rf"verified: 4 records from {start} to \S+, digest [0-9a-f]{{16}}$", said.strip())


def test_a_stretch_of_the_past_is_verified_as_well(shop: Any) -> None:
    server, start, end = shop
    done = tailrace("tail", "order", "--after", start, "--until", end, "--verify", server=server)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, len(SHOP))
    assert f"verified: 4 records from {start} to {end}" in done.stderr.decode()


def test_verify_finds_one_character_that_was_changed_on_the_way(shop: Any) -> None:
    server, start, _ = shop
    with relay(server.port) as port, running(f"http://127.0.0.1:{port}", "--after", start, "--verify") as tail:
        assert tail.stdout is not None
        for _ in SHOP:
            tail.stdout.readline()
        tail.send_signal(signal.SIGINT)
        _, said = tail.communicate(timeout=20)
    assert tail.returncode == 1
    assert "NOT VERIFIED: a search finds 4 records" in said


@contextmanager
def relay(port: int) -> Iterator[int]:
    """A way to a server that turns one letter of what the server says into another."""

    def carry(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data.replace(b"order 3", b"order 4"))
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", port))
            opened.extend((client, server))
            for pair in itertools.permutations((client, server)):
                threading.Thread(target=carry, args=pair, daemon=True).start()

    opened: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=serve, daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(20)
            for one in opened:
                one.close()


def test_a_gap_says_how_many_of_which_level_where_and_why() -> None:
    gap = {"from": "7f-1", "to": "7f-9", "count": 4213, "why": "slow", "levels": {"info": 4200, "error": 13}}
    assert gap_text(gap).startswith("GAP: 4,213 records (info 4,200, error 13) from 7f-1 to 7f-9 are not shown: what ")


def test_every_reason_of_a_gap_has_its_words() -> None:
    assert SERVER_WHYS.keys() <= WHYS.keys()


def test_a_position_of_another_log_is_a_gap_on_stderr(shop: Any) -> None:
    server, _, _ = shop
    with running(server.url, "--after", "abcdef-5") as tail:
        assert tail.stderr is not None
        assert "GAP: an unknown number of records from abcdef-5" in tail.stderr.readline()


def test_a_tail_over_its_quota_comes_back_when_it_may_and_misses_nothing(start: Any) -> None:
    server = start(TAILRACE_QUOTA__LINES_PER_S_TOTAL="400")
    push(server, *({"message": f"{n}"} for n in range(3000)))
    cursor = server.get("/api/v1/search", order="arrival", limit=1)["records"][0]["cursor"]
    with running(server.url, "--after", cursor, "--output", "raw", "--verify") as tail:
        assert tail.stdout is not None
        assert [tail.stdout.readline() for _ in range(3000)] == [f"{n}\n" for n in range(3000)]
        push(server, {"message": "behind"})
        assert tail.stdout.readline() == "behind\n"
        tail.send_signal(signal.SIGINT)
        _, said = tail.communicate(timeout=20)
    assert (tail.returncode, "verified: 3,001 records" in said) == (0, True)
    assert re.search(r"; connecting again in [\d.]+ s at ", said), said


def test_what_reads_no_more_ends_the_command_with_the_next_line(shop: Any) -> None:
    server, start, _ = shop
    with running(server.url, "--after", start) as tail:
        assert tail.stdout is not None
        tail.stdout.readline()
        tail.stdout.close()
        push(server, {"message": "one more", "service": "other"})
        assert tail.wait(20) == 0


def test_lines_around_a_match_come_in_groups_as_grep_shows_them(start: Any) -> None:
    server = start()
    texts = [f"{'HIT' if n in (5, 6, 20) else 'line'} {n}" for n in range(30)]
    push(server, *({"message": text, "service": "shop"} for text in texts))
    cursor = server.get("/api/v1/search", order="arrival", limit=1)["records"][0]["cursor"]
    grep = subprocess.run(["grep", "-C2", "HIT"], input="\n".join(texts), capture_output=True, text=True, check=True)
    with running(server.url, "HIT", "--after", cursor, "-C2", "--template", "{message}", "--verify") as tail:
        assert tail.stdout is not None
        wanted = grep.stdout.splitlines(keepends=True)
        assert [tail.stdout.readline() for _ in wanted] == wanted
        tail.send_signal(signal.SIGINT)
        _, said = tail.communicate(timeout=20)
    assert (tail.returncode, "verified: 3 records" in said) == (0, True)


def test_a_sampled_tail_says_what_it_left_out_how_to_fetch_it_and_is_verified(start: Any) -> None:
    server = start()
    push(server, {"message": "first"})
    cursor = server.get("/api/v1/search", order="arrival", limit=1)["records"][0]["cursor"]
    push(server, *({"message": f"busy {n}"} for n in range(2000)), {"message": "failed", "level": "error"})
    with running(server.url, "--after", cursor, "--rate-max", "10", "--verify") as tail:
        assert tail.stdout is not None
        while "failed" not in tail.stdout.readline():
            pass
        assert tail.stderr is not None
        gap, fetch = tail.stderr.readline(), tail.stderr.readline()
        tail.send_signal(signal.SIGINT)
        _, said = tail.communicate(timeout=20)
    left_out = re.search(r"GAP: ([\d,]+) records .* from (\S+) to (\S+) ", gap)
    assert left_out is not None
    assert int(left_out[1].replace(",", "")) > 1900
    assert fetch == f"-- to fetch them: tailrace tail --after {left_out[2]} --until {left_out[3]}\n"
    assert (tail.returncode, "verified: 2,00" in said) == (0, True)
