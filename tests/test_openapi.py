from msgspec import Struct

from tailrace.api import JSON, SSE, Call
from tailrace.openapi import document


class Takes(Struct):
    """Parameters."""

    limit: int = 10


class Gives(Struct):
    """An answer."""

    count: int


CALL = Call("GET", "/api/v1/things", "All things", takes=Takes, gives={JSON: Gives})


def test_a_call_is_described_with_parameters_and_answers():
    operation = document([CALL])["paths"]["/api/v1/things"]["get"]
    assert (operation["operationId"], operation["summary"]) == ("things", "All things")
    assert [one["name"] for one in operation["parameters"]] == ["limit"]
    assert JSON in operation["responses"]["200"]["content"]
    assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_a_stream_is_described_by_its_frames():
    made = document([Call("GET", "/api/v1/tail", "Live", gives={SSE: str})])
    assert {"RowsFrame", "GapFrame", "PingFrame", "EndFrame"} <= made["components"]["schemas"].keys()


def test_what_stands_in_the_path_is_a_parameter_that_is_required():
    operation = document([Call("PUT", "/api/v1/things/{name}", "One thing", takes=Takes)])
    put = operation["paths"]["/api/v1/things/{name}"]["put"]
    assert put["operationId"] == "put_things_name"
    assert [(one["name"], one["in"], one.get("required")) for one in put["parameters"]] == [
        ("name", "path", True),
        ("limit", "query", None),
    ]
