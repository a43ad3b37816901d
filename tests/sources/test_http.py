import gzip
import json

import pytest

from tailrace.limits import LINE_BYTES_MAX, PUSH_BATCH_BYTES, PUSH_BYTES_MAX
from tailrace.sources.body import zstd


def ndjson(*records):
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def test_json_lines_are_found_at_once(server):
    status, answer = server.push(ndjson({"message": "one"}, {"message": "two"}), parameters={"service": "json"})
    assert (status, answer["accepted"], answer["rejected"]) == (200, 2, [])
    assert {"one", "two"} <= set(server.messages())


def test_a_json_array_is_the_same_as_its_lines(server):
    status, answer = server.push(
        b'[{"message":"first of array"},\n {"message":"second of array"}]', kind="application/json"
    )
    assert (status, answer["accepted"]) == (200, 2)
    assert "second of array" in server.messages()


def test_text_lines_get_the_labels_of_the_call(server):
    assert server.push(b"plain text", kind="text/plain", parameters={"service": "plain"})[0] == 200
    found = server.get("/api/v1/search", limit=1000)["records"]
    assert [record["service"] for record in found if record["message"] == "plain text"] == ["plain"]


def test_broken_lines_are_told_and_the_others_kept(server):
    status, answer = server.push(b'{"message":"good one"}\nbroken\n[1]\n{"message":"good two"}\n')
    assert (status, answer["accepted"], answer["rejected_count"]) == (200, 2, 2)
    assert [rejected["line"] for rejected in answer["rejected"]] == [2, 3]
    assert {"good one", "good two"} <= set(server.messages())


def test_a_retry_with_the_same_key_adds_nothing(server):
    for _ in range(2):
        status, answer = server.push(ndjson({"message": "only once"}), Idempotency_Key="k1")
        assert (status, answer["accepted"]) == (200, 1)
    assert server.messages().count("only once") == 1


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_a_compressed_body_is_read(server, encoding, pack):
    lines = ndjson(*({"message": f"{encoding} {n}"} for n in range(3000)))
    packed = pack(lines[:50_000]) + pack(lines[50_000:])  # several members, one behind the other
    status, answer = server.push(packed, Content_Encoding=encoding)
    assert (status, answer["accepted"]) == (200, 3000)


def test_a_body_of_several_pieces_keeps_its_order(server):
    lines = ndjson(*({"message": f"piece {n}", "pad": "x" * 500} for n in range(20_000)))
    assert len(lines) > 2 * PUSH_BATCH_BYTES
    assert server.push(lines)[1]["accepted"] == 20_000
    assert [text for text in server.messages() if text.startswith("piece ")] == [f"piece {n}" for n in range(20_000)]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"kind": "image/png"}, b"x", 415),
        ({"kind": "application/x-www-form-urlencoded"}, b"{}", 415),
        ({"Content_Encoding": "br"}, b"x", 415),
        ({"Content_Encoding": "gzip"}, b"this is not gzip", 400),
        ({"Content_Encoding": "gzip"}, gzip.compress(b'{"message":"x"}', mtime=0)[:-9], 400),
        ({"Content_Encoding": "zstd"}, b"this is not zstd", 400),
        ({"kind": "application/json"}, b"[1, 2", 400),
        ({"Content_Encoding": "gzip"}, gzip.compress(bytes(PUSH_BYTES_MAX + 1), mtime=0), 413),
    ],
    ids=["image", "form", "br", "no gzip", "torn gzip", "no zstd", "torn array", "bomb"],
)
def test_a_body_that_cannot_be_taken_is_refused_with_a_cure(server, headers, body, status):
    got, answer = server.push(body, **headers)
    assert got == status
    assert answer["status"] == status
    assert answer["cure"]


def test_a_line_that_is_too_long_is_told_in_json_and_cut_in_text(server):
    long = b"x" * (20 * 1024 * 1024)
    status, answer = server.push(b'{"message":"before"}\n{"message":"' + long + b'"}\n{"message":"behind"}\n')
    assert (status, answer["accepted"], [one["line"] for one in answer["rejected"]]) == (200, 2, [2])
    status, answer = server.push(long + b"\nnext to the long one\n", kind="text/plain")
    assert (status, answer["accepted"]) == (200, 2)
    newest = server.get("/api/v1/search", order="arrival_newest", limit=2)["records"]
    assert sorted(len(record["message"]) for record in newest) == [20, LINE_BYTES_MAX]


def test_bytes_that_are_not_utf8_stay_readable(server):
    assert server.push(b"caf\xe9 au lait\n", kind="text/plain")[0] == 200
    assert "caf\\xE9 au lait" in [text.replace("\\xe9", "\\xE9") for text in server.messages()]


def test_a_label_that_every_record_has_of_its_own_is_refused(server):
    status, answer = server.push(b"{}", parameters={"message": "x"})
    assert (status, bool(answer["cure"])) == (400, True)


def test_too_many_labels_are_refused(server):
    status, answer = server.push(b"{}", parameters={f"label{n}": "x" for n in range(40)})
    assert (status, bool(answer["cure"])) == (400, True)
