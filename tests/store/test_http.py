"""Questions over HTTP, of records on the bus and in parts alike."""

import http.client
import json
import socket

import pytest

from tailrace.limits import SECOND_NS
from tailrace.store.http import cost_key
from tailrace.store.words import SearchParameters
from tests.apps.programs import served, until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    lines = [
        {
            "time": f"2026-11-20T08:{n // 60:02d}:{n % 60:02d}Z",
            "level": ("info", "error")[n % 5 == 0],
            "message": f"order {n} done",
            "service": ("checkout", "billing")[n % 2],
            "order": n,
        }
        for n in range(600)
    ]
    with served(tmp_path_factory) as one:
        assert one.push(b"".join(json.dumps(line).encode() + b"\n" for line in lines))[0] == 200
        yield one


NOW_NS = 1_800_000_000 * SECOND_NS


def key(**given):
    return cost_key("/api/v1/search", SearchParameters(**given), NOW_NS)


def test_questions_that_take_the_same_time_have_one_key():
    assert key(q="error  or (warn)", from_="1h") == key(q="error or warn", from_="1h", to="now", limit=7)
    assert key(q="error", from_="1h") == cost_key(
        "/api/v1/search", SearchParameters(q="error", from_="1h"), NOW_NS + 77 * SECOND_NS
    )


def test_a_narrower_time_or_query_is_another_question():
    assert len({key(q="error"), key(q="error payment"), key(q="error", from_="24h"), key(q="error", from_="1h")}) == 4


def rows(server, **parameters):
    return [record["fields"]["order"] for record in server.get("/api/v1/search", **parameters)["records"]]


def test_the_newest_come_first(server):
    assert rows(server, limit=3) == [599, 598, 597]


def test_the_oldest_come_first_when_asked_for(server):
    assert rows(server, limit=3, order="oldest") == [0, 1, 2]


def test_a_range_of_time_bounds_the_answer(server):
    found = rows(server, from_="2026-11-20T08:01:00Z", to="2026-11-20T08:01:01Z", order="oldest")
    assert found[0] == 60
    assert found[-1] in (60, 61)


def test_pages_join_without_a_seam_while_records_arrive(server):
    found, token = [], None
    while True:
        page = server.get("/api/v1/search", q="order", limit=170, **({"after": token} if token else {}))
        found += [record["fields"]["order"] for record in page["records"]]
        server.push(b'{"message":"order of somebody else","order":-1}\n')
        token = page["next"]
        if not token:
            break
    assert found == list(range(599, -1, -1))


def test_a_token_that_nobody_gave_is_refused(server):
    assert server.call("GET", "/api/v1/search", {"after": "nonsense"})[0] == 400


def test_a_stream_of_rows_ends_with_what_was_done(server):
    _, headers, body = server.call("GET", "/api/v1/search", {"limit": 5}, Accept="application/x-ndjson")
    lines = [json.loads(line) for line in body.splitlines()]
    assert headers["content-type"] == "application/x-ndjson"
    assert len(lines) == 6
    assert lines[-1]["end"]["complete"] is True


def test_an_empty_answer_is_whole(server):
    found = server.get("/api/v1/search", q="nowhere")
    assert (found["records"], found["next"], found["complete"]) == ([], None, True)


def test_a_query_that_is_not_understood_points_at_the_mistake(server):
    status, _, body = server.call("GET", "/api/v1/search", {"q": "level:error AND ("})
    assert status == 400
    assert json.loads(body)["position"] >= 15


def test_an_aggregate_gives_rows(server):
    found = server.get("/api/v1/stats", q="order done | stats count() as n by service | sort service")
    assert [(row["service"], row["n"]) for row in found["records"]] == [("billing", 300), ("checkout", 300)]


def test_a_histogram_counts_everything_once(server):
    found = server.get("/api/v1/histogram", q="done", span="1m")
    assert found["span_ns"] == 60_000_000_000
    assert [one["counts"] for one in found["series"]] == [[60] * 10]


def test_what_a_histogram_scans_is_told_once(server):
    stats = server.get("/api/v1/histogram", q="done", span="1m")["stats"]
    assert (stats["matched"], stats["scanned_records"]) == (600, server.get("/api/v1/status")["records"])


def test_the_bytes_of_the_bus_are_scanned_bytes(server):
    assert server.get("/api/v1/search", q="done")["stats"]["scanned_bytes"] > 600 * len("order 1 done")


def test_a_histogram_by_level_has_a_series_of_each(server):
    found = server.get("/api/v1/histogram", q="done", buckets=10, by="level")
    assert {one["value"]: sum(one["counts"]) for one in found["series"]} == {"error": 120, "info": 480}


def test_the_values_of_a_field_are_counted(server):
    found = server.get("/api/v1/values", q="done", field="service")
    assert found["values"] == [{"value": "billing", "count": 300}, {"value": "checkout", "count": 300}]


def test_values_need_a_field(server):
    assert server.call("GET", "/api/v1/values")[0] == 400


def test_the_fields_are_listed(server):
    assert {"order", "level", "service"} <= {one["field"] for one in server.get("/api/v1/fields")["fields"]}


def test_the_streams_are_listed(server):
    found = server.get("/api/v1/streams", q="done")["streams"]
    assert {stream["labels"]["service"]: stream["count"] for stream in found} == {"billing": 300, "checkout": 300}


def test_the_context_is_that_of_the_records_own_stream(server):
    cursor = server.get("/api/v1/search", q="order:300", limit=1)["records"][0]["cursor"]
    around = server.get("/api/v1/context", cursor=cursor, before=2, after=2)
    assert [record["fields"]["order"] for record in around["records"]] == [296, 298, 300, 302, 304]
    assert around["index"] == 2


def test_verify_counts_what_a_search_finds_between_two_cursors(server):
    found = server.get("/api/v1/search", q="order service:billing", order="arrival", limit=400)["records"]
    first, stop = found[10]["cursor"], found[200]["cursor"]
    verified = server.get("/api/v1/verify", q="order service:billing", from_=first, to=stop)
    assert (verified["from"], verified["to"], verified["count"]) == (first, stop, 190)
    levels = [record["level"] for record in found[10:200]]
    assert verified["levels"] == {"info": levels.count("info"), "error": levels.count("error")}


def test_the_digests_of_two_stretches_add_up_to_that_of_both(server):
    found = server.get("/api/v1/search", q="order", order="arrival", limit=500)["records"]
    first, middle, stop = (found[row]["cursor"] for row in (10, 200, 450))
    digests = [
        int(server.get("/api/v1/verify", q="order", from_=begin, to=end)["digest"], 16)
        for begin, end in ((first, middle), (middle, stop), (first, stop))
    ]
    assert (digests[0] + digests[1]) % 2**64 == digests[2]


def test_cursors_of_another_log_are_not_verified(server):
    status, _, body = server.call("GET", "/api/v1/verify", {"from": "1-0"})
    assert (status, "not of this server" in json.loads(body)["detail"]) == (400, True)


def test_a_client_that_goes_ends_its_search(server):
    wire = socket.create_connection(("127.0.0.1", server.port))
    wire.sendall(b"GET /api/v1/search?limit=1000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wire.recv(10)
    wire.close()
    until(lambda: server.get("/api/v1/status")["searches"] == 0)


def test_a_connection_is_used_again(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for _ in range(3):
        connection.request("GET", "/api/v1/search?limit=1")
        assert len(json.loads(connection.getresponse().read())["records"]) == 1
    connection.close()
