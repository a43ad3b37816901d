"""The root, errors, and the document that describes the calls."""

import json


def test_health_is_plain(server):
    assert server.call("GET", "/healthz")[2] == b"ok\n"


def test_metrics_are_in_the_text_format_of_prometheus(server):
    status, headers, body = server.call("GET", "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b"\ntailrace_records " in body


def test_an_unknown_address_is_a_problem_document(server):
    status, headers, body = server.call("GET", "/nowhere")
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert json.loads(body)["status"] == 404


def test_an_unknown_parameter_is_an_error_with_a_suggestion(server):
    status, _, body = server.call("GET", "/api/v1/search", {"limt": 1})
    assert status == 400
    assert json.loads(body)["cure"] == "Did you mean 'limit'?"


def test_a_parameter_of_the_wrong_type_is_named(server):
    status, _, body = server.call("GET", "/api/v1/search", {"limit": "many"})
    assert status == 400
    assert "limit" in json.loads(body)["detail"]


def test_the_document_names_every_route(server):
    document = server.get("/openapi.json")
    assert {"/api/v1/search", "/api/v1/push", "/api/v1/tail", "/healthz"} <= document["paths"].keys()
    assert {"Record", "RowsFrame", "GapFrame", "PingFrame", "EndFrame"} <= document["components"]["schemas"].keys()


def test_every_reference_of_the_document_leads_somewhere(server):
    body = server.call("GET", "/openapi.json")[2].decode()
    schemas = json.loads(body)["components"]["schemas"]
    named = {part.split('"')[0] for part in body.split("#/components/schemas/")[1:]}
    assert named <= schemas.keys()


def test_the_policy_lets_the_page_load_only_its_own_files(server):
    headers = server.call("GET", "/")[1]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
