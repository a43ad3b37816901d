"""Bad input gets a clear answer, and its neighbours lose nothing."""

import base64
import json
import os
import subprocess

from tailrace.limits import LINE_BYTES_MAX, MIB
from tests.apps.programs import TAILRACE, environment, tailrace, until

LONG = b"x" * (20 * MIB)


def records(server, **parameters):
    return server.get("/api/v1/search", **{"order": "arrival", "limit": 1000, **parameters})["records"]


def memory_peak_bytes(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def test_broken_lines_of_a_followed_json_file_are_kept_whole(start, tmp_path):
    log = tmp_path / "app.log"
    good = [f"good {number}" for number in range(10)]
    deep = '{"message":"deep","a":' + "[" * 900 + "]" * 900 + "}"
    broken = ['{"message":"torn', "not json at all", "[1,2]", deep]
    lines = [*(json.dumps({"message": message}) for message in good), *broken, '{"message":"last"}']
    log.write_text("\n".join(lines) + "\n")
    server = start(log, command="up")
    until(lambda: len(server.messages()) == len(lines))
    assert server.messages() == [*good, *broken, "last"]


def test_bytes_of_a_followed_file_that_are_not_utf8_are_shown_and_kept(start, tmp_path):
    log = tmp_path / "app.log"
    log.write_bytes(b"before\ncaf\xe9 \xff\nbehind\n")
    server = start(log, command="up")
    found = until(lambda: records(server)[2:] and records(server))
    assert [record["message"] for record in found] == ["before", "caf\\xe9 \\xff", "behind"]
    assert base64.b64decode(found[1]["fields"]["raw_base64"]) == b"caf\xe9 \xff"


def test_bytes_of_a_push_that_are_not_utf8_are_shown_and_kept(start):
    server = start()
    assert server.push(b"before\ncaf\xe9\nbehind\n", kind="text/plain")[1]["accepted"] == 3
    found = records(server)
    assert [record["message"] for record in found] == ["before", "caf\\xe9", "behind"]
    assert base64.b64decode(found[1]["fields"]["raw_base64"]) == b"caf\xe9"


def test_a_line_of_a_followed_file_that_is_too_long_is_cut_and_marked(start, tmp_path):
    log = tmp_path / "app.log"
    log.write_bytes(b"before\n" + LONG + b"\nbehind\n")
    server = start(log, command="up")
    found = until(lambda: records(server)[3:] and records(server))
    assert [len(record["message"]) for record in found] == [6, LINE_BYTES_MAX, len(LONG) - LINE_BYTES_MAX, 6]
    assert [record.get("fields", {}).get("cut") for record in found] == [None, True, None, None]
    assert memory_peak_bytes(server) < 1024 * MIB


def test_a_line_of_a_push_that_is_too_long_costs_nothing_of_its_neighbours(start):
    server = start()
    body = b'{"message":"before"}\n{"message":"' + LONG + b'"}\n{"message":"behind"}\n'
    status, answer = server.push(body)
    assert (status, answer["accepted"], [one["line"] for one in answer["rejected"]]) == (200, 2, [2])
    assert server.push(b"first\n" + LONG + b"\nlast\n", kind="text/plain")[1]["accepted"] == 3
    found = records(server)
    assert [len(record["message"]) for record in found] == [6, 6, 5, LINE_BYTES_MAX, 4]
    assert found[3]["fields"] == {"cut": True}
    assert memory_peak_bytes(server) < 1024 * MIB


def test_a_wrong_query_is_a_problem_document_that_points_at_the_mistake(server):
    status, headers, body = server.call("GET", "/api/v1/search", {"q": "level:error and ("})
    problem = json.loads(body)
    assert (status, headers["content-type"], problem["position"]) == (400, "application/problem+json", 17)
    assert problem["cure"]


def test_a_tail_with_a_wrong_query_is_refused_at_once(server):
    done = tailrace("tail", "a:(", server=server)
    assert (done.returncode, done.stderr.decode().splitlines()[1][:4]) == (2, "   ^")


def test_no_colour_is_written_where_it_is_not_wanted(server):
    server.push(b'{"message":"plain","level":"error"}\n')
    pid, terminal = os.forkpty()
    if pid == 0:
        os.environ |= {"NO_COLOR": "1", "TERM": "xterm", "TAILRACE_SERVER": server.url}
        os.execv(TAILRACE[0], [*TAILRACE, "search", "plain"])
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
    except OSError:
        pass  # the terminal is closed when its last program ends
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0
    assert b"plain" in shown
    assert b"\x1b[" not in shown


def test_a_search_whose_reader_has_enough_ends_quietly(server):
    server.push(b'{"message":"' + b"y" * 100 + b'"}\n' * 1 + b'{"message":"line"}\n' * 20_000)
    command = subprocess.Popen(
        [*TAILRACE, "search", "--limit", "20000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(TAILRACE_SERVER=server.url),
    )
    command.stdout.readline()
    command.stdout.close()
    said = command.stderr.read()
    command.stderr.close()
    assert (command.wait(20), said) == (0, b"")


def test_words_of_a_command_that_are_not_utf8_are_sent_as_they_are(server):
    done = tailrace("search", "nothing\udcff", server=server)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_terminal_that_is_not_utf8_gets_escapes(server):
    server.push('{"message":"订单 paid"}\n'.encode())
    done = tailrace("search", "paid", server=server, PYTHONIOENCODING="ascii")
    assert (done.returncode, b"\\u8ba2\\u5355 paid" in done.stdout) == (0, True)
