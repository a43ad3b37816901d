"""C. What a line is: halves, ends, lengths, bytes, encodings, and events of several lines."""

import base64
import json
import os

import pytest

from tailrace.limits import LINE_BYTES_MAX, MIB
from tests.apps.collection.oracle import KEPT, Log
from tests.apps.programs import until

TRACE = """\
2026-11-20 08:00:00,123 ERROR [main] c.s.Checkout - payment failed {mark}
java.lang.IllegalStateException: no gateway {mark}
\tat com.shop.Checkout.pay(Checkout.java:42)
\tat com.shop.Checkout.main(Checkout.java:7)
Caused by: java.net.SocketTimeoutException: timed out {mark}
\tat java.net.Socket.connect(Socket.java:1)
\t... 2 more
"""
NEXT = "2026-11-20 08:00:01,000 INFO [main] c.s.Checkout - next {mark}\n"


def text_of(agent, place) -> str:
    """Return what came, with its line ends put back."""
    return "".join(f"{message}\n" for message in agent.messages(place))


@pytest.mark.scenario("C04", "empty lines: at the beginning, in the middle, a file of nothing else")
def test_empty_lines_are_neither_lost_nor_read_again(agent, place):
    for name, data in {"a": "\n\none\n\n\ntwo\n", "b": "\n\n\n"}.items():
        path = place / "narrow" / f"{name}.log"
        path.write_text(data)
        until(lambda path=path, data=data: text_of(agent, path) == data)
    agent.fence()
    assert text_of(agent, place / "narrow" / "a.log") == "\n\none\n\n\ntwo\n"
    assert text_of(agent, place / "narrow" / "b.log") == "\n\n\n"


@pytest.mark.scenario("C05", "CRLF, a lone CR, and a CR whose LF is written later")
def test_a_cr_before_the_newline_is_no_part_of_the_line_and_a_lone_one_is(agent, place):
    with (place / "narrow" / "a.log").open("ab", buffering=0) as file:
        file.write(b"one\r\nt\rwo\nthree\r")
        agent.comes_to(place, 2)
        file.write(b"\nfour\r\n")
        until(lambda: agent.messages(place) == ["one", "t\rwo", "three", "four"])


@pytest.mark.scenario(
    "C07",
    "a line of 10 MiB between two short ones; then one of 100 MiB",
    others="Fluent Bit gives the whole file up by default; Vector drops the line",
)
def test_a_line_of_any_length_costs_its_neighbours_nothing_and_memory_stays_bounded(follow, logs):
    log = logs / "a.log"
    agent = follow(logs / "*.log")
    with log.open("ab") as file:
        file.write(b"before\n" + b"x" * (10 * MIB) + b"\nbetween\n" + b"y" * (100 * MIB) + b"\nbehind\n")
    pieces = [16 * MIB] * 6 + [4 * MIB]
    assert LINE_BYTES_MAX == 16 * MIB
    until(lambda: agent.server.get("/api/v1/status")["records"] == 4 + len(pieces), 60)
    memory_bytes = agent.memory_peak_bytes  # before a search holds all of it at once
    records = agent.records(logs)
    assert [len(record["message"]) for record in records] == [6, 10 * MIB, 7, *pieces, 6]
    assert [bool(record.get("fields", {}).get("cut")) for record in records] == [
        *[False] * 3,
        *[True] * 6,
        False,
        False,
    ]
    assert memory_bytes < 600 * MIB


@pytest.mark.scenario("C09", "the cut of an over-long line falls inside a character")
def test_an_over_long_line_is_cut_between_characters(follow, logs):
    text = "x" + "订" * (LINE_BYTES_MAX // 3 + 10)
    (logs / "a.log").write_text(f"{text}\nbehind\n")
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 3)
    first, second, last = agent.records(logs)
    assert first["message"] + second["message"] == text
    assert (first["fields"]["cut"], last["message"]) == (True, "behind")
    assert "raw_base64" not in first["fields"]


@pytest.mark.scenario(
    "C10", "white space before and behind, tabs", others="The OpenTelemetry collector trims it by default"
)
def test_white_space_is_kept_byte_by_byte(agent, place):
    data = "  two before\ntwo behind  \n\ttab\tbetween\t\n \n"
    (place / "narrow" / "a.log").write_text(data)
    until(lambda: text_of(agent, place) == data)


@pytest.mark.scenario(
    "C11", "NUL, control bytes and colours inside lines", others="Fluent Bit skips NUL bytes at a line's head"
)
def test_control_bytes_survive_and_their_lines_are_found(agent, place):
    lines = [
        "2026-11-20T08:00:00Z INFO nul \0 inside",
        "2026-11-20T08:00:00Z INFO bell \a and \x1b[31mred\x1b[0m",
        "\0begins",
    ]
    (place / "narrow" / "a.log").write_text("".join(f"{line}\n" for line in lines))
    until(lambda: agent.messages(place) == lines)
    assert agent.server.messages(q="bell inside") == []
    assert agent.server.messages(q="bell") == [lines[1]]


@pytest.mark.scenario("C12", "bytes that are not UTF-8: lone, over-long, surrogates, cut short")
def test_bad_bytes_are_kept_and_offsets_count_bytes(follow, logs):
    lines = [
        b"caf\xe9",
        b"\xff\xfe x",
        b"surrogate \xed\xa0\x80",
        b"over-long \xc0\xaf",
        b"short \xe8\xae",
        "订单".encode(),
    ]
    log = logs / "a.log"
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    agent = follow(logs / "*.log")
    agent.comes_to(logs, len(lines))
    agent.restart()
    with log.open("ab") as file:
        file.write(b"last\n")
    agent.comes_to(logs, len(lines) + 1)
    agent.fence()
    assert [raw_of(record) for record in agent.records(logs)] == [*lines, b"last"]


def raw_of(record) -> bytes:
    kept = record.get("fields", {}).get("raw_base64")
    return base64.b64decode(kept) if kept else record["message"].encode()


@pytest.mark.scenario("C14", "GB18030, Big5 and Shift-JIS, whose second bytes may be ASCII, over the borders of blocks")
@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("gb18030", "订单已付款 镕"),
        ("big5", "功能許可 蓋 訂單"),
        ("shift_jis", "ソフト 表示 能力"),
        ("latin-1", "café façade"),
    ],
)
def test_text_of_other_encodings_equals_the_original(follow, logs, tmp_path, encoding, text):
    lines = [f"2026-11-20T08:00:00Z INFO {number} {text * (1 + number % 7)}" for number in range(20_000)]
    (logs / "a.log").write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    config = tmp_path / "tailrace.toml"
    config.write_text(f'[[collect.entries]]\npath = "{logs}/*.log"\nencoding = "{encoding}"\n')
    agent = follow("--config", config)
    agent.comes_to(logs, len(lines), 30)
    assert agent.messages(logs) == lines


@pytest.mark.scenario("C15", "a byte order mark at the beginning")
def test_a_byte_order_mark_is_no_part_of_the_first_line(follow, logs):
    log = Log(logs / "a.log")
    log.raw(b"\xef\xbb\xbf")
    log.write(5)
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 5)
    agent.restart()
    log.write(5)
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario("C16", "UTF-16 with a byte order mark, written in odd pieces")
def test_utf_16_is_known_by_its_mark(agent, place):
    lines = [f"2026-11-20T08:00:00Z INFO line {number} 订单 café" for number in range(200)]
    data = "".join(f"{line}\n" for line in lines).encode("utf-16")
    with (place / "narrow" / "a.log").open("ab", buffering=0) as file:
        for at in range(0, len(data), 999):
            file.write(data[at : at + 999])
    until(lambda: agent.messages(place) == lines)


@pytest.mark.scenario(
    "C18",
    "a stack trace is half written when the agent is killed",
    others="fluent-bit#3926: the part that was read is lost, or comes alone",
)
def test_an_open_event_survives_a_kill_whole(follow, logs):
    log = logs / "a.log"
    whole, next_line = TRACE.format(mark="once"), NEXT.format(mark="once")
    half = whole.index("Caused")
    log.write_text(NEXT.format(mark="before") + whole[:half])
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 1)
    agent.stop(9)
    with log.open("a") as file:
        file.write(whole[half:] + next_line)
    agent.start()
    agent.comes_to(logs, 3)
    agent.fence()
    assert agent.messages(logs) == [NEXT.format(mark="before").rstrip(), whole.rstrip("\n"), next_line.rstrip()]


@pytest.mark.scenario("C18r", "a stack trace is half written when the log is rotated")
def test_an_open_event_is_whole_over_a_rotation(agent, place):
    log = place / "wide" / "a.log"
    whole = TRACE.format(mark="rotated")
    half = whole.index("Caused")
    with log.open("a") as file:
        file.write(NEXT.format(mark="before") + whole[:half])
        file.flush()
        agent.comes_to(place, 1)
        log.rename(place / "wide" / "a.log.1")
        file.write(whole[half:])
    log.write_text(NEXT.format(mark="behind"))
    agent.comes_to(place, 3)
    agent.fence()
    assert sorted(agent.messages(place)) == sorted(
        [NEXT.format(mark="before").rstrip(), whole.rstrip("\n"), NEXT.format(mark="behind").rstrip()]
    )


@pytest.mark.scenario("C19", "stack traces are written to four files, line by line, in turn")
def test_events_of_several_files_are_never_mixed(agent, place):
    marks = "abcd"
    files = {mark: (place / "narrow" / f"{mark}.log").open("a", buffering=1) for mark in marks}
    traces = {mark: TRACE.format(mark=mark) + NEXT.format(mark=mark) for mark in marks}
    for lines in zip(*(trace.splitlines(keepends=True) for trace in traces.values()), strict=True):
        for file, line in zip(files.values(), lines, strict=True):
            file.write(line)
    for file in files.values():
        file.close()
    agent.comes_to(place, 8)
    agent.fence()
    for mark in marks:
        event, last = traces[mark][: traces[mark].rindex("2026")], NEXT.format(mark=mark)
        assert agent.messages(place / "narrow" / f"{mark}.log") == [event.rstrip("\n"), last.rstrip()]


@pytest.mark.scenario("C20", "Docker splits a long line into parts of 16 KiB; CRI likewise; one JSON line is broken")
def test_the_parts_of_container_lines_are_joined_and_a_broken_one_is_kept(follow, logs):
    container = logs / "containers" / ("c0ffee" * 10 + "cafe")
    container.mkdir(parents=True)
    log = container / f"{container.name}-json.log"
    at = "2026-11-20T08:00:00.000000001Z"
    parts = ["a" * 16_384, "b" * 16_384, "c" * 100 + "\n"]
    rows = [
        json.dumps({"log": text, "stream": "stdout", "time": at}, separators=(",", ":"))
        for text in ("one\n", *parts, "two\n")
    ]
    broken = '{"log":"torn'
    log.write_text("\n".join([rows[0], broken, *rows[1:]]) + "\n")
    agent = follow(logs / "containers" / "*" / "*-json.log")
    agent.comes_to(logs, 4)
    agent.fence()
    assert agent.messages(logs) == ["one", broken, "".join(parts).rstrip(), "two"]


@pytest.mark.scenario("C21", "a sparse file grows beyond 4 GiB")
def test_offsets_beyond_four_gigabytes_are_right(follow, logs):
    log = Log(logs / "a.log")
    os.truncate(log.path, (4 << 30) - 200)
    log.raw(b"\n")
    log.write(20)
    agent = follow(logs / "*.log", "--start", "100KB")
    agent.comes_to(logs, 20)
    agent.restart()
    log.write(20)
    agent.comes_to(logs, 40)
    agent.fence()
    found = [message for message in agent.messages(logs) if "\0" not in message and message]
    assert found == log.complete


@pytest.mark.scenario(
    "C22", "an application that does not append goes on at its old place after a truncation, behind a hole"
)
def test_a_hole_of_nul_bytes_is_no_part_of_the_first_line_behind_it(agent, place):
    path = place / "narrow" / "a.log"
    with path.open("wb", buffering=0) as file:
        file.write(b"2026-11-20T08:00:00Z INFO before\n" * 1000)
        agent.comes_to(place, 1000)
        os.truncate(path, 0)
        file.write(b"2026-11-20T08:00:00Z INFO behind\n" * 3)
        agent.comes_to(place, 1003)
    agent.fence()
    assert agent.messages(place)[1000:] == ["2026-11-20T08:00:00Z INFO behind"] * 3


@pytest.mark.scenario(
    "C23", "the names of the columns stand at the beginning of the file; the agent restarts behind them"
)
def test_the_columns_that_the_beginning_of_a_file_names_are_known_after_a_restart(follow, logs):
    log = logs / "u_ex261120.log"
    log.write_text("#Software: IIS\n#Fields: date time cs-method sc-status\n2026-11-20 08:00:00 GET 200\n")
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 3)
    agent.restart()
    with log.open("a") as file:
        file.write("2026-11-20 08:00:01 POST 503\n")
    until(lambda: [record["message"] for record in agent.records(logs) if has(record, method="POST", status=503)])


def has(record, **fields) -> bool:
    return record.get("fields", {}).items() >= fields.items()


@pytest.mark.scenario("C24", "lines are written byte by byte, and in pieces that end in the middle of characters")
def test_a_line_that_is_written_in_pieces_is_one_record(agent, place):
    log = Log(place / "narrow" / "a.log")
    for size in (1, 2, 7):
        line = log.line("订单 café " * 3)
        data = f"{line}\n".encode()
        for at in range(0, len(data), size):
            log.raw(data[at : at + size])
        log.complete.append(line)
    assert agent.verdict(place, log) == KEPT
