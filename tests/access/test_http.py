import json
import shutil
from urllib.parse import urlencode

import pytest

from tailrace.access.tokens import Tokens
from tailrace.limits import SESSION_S


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7800", "localhost.evil.example", ""])
def test_a_foreign_host_is_refused(server, host):
    assert server.call("GET", "/api/v1/status", Host=host)[0] == 421


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:7800", "10.0.0.1:7800"])
def test_an_address_and_localhost_are_known(server, host):
    assert server.call("GET", "/api/v1/status", Host=host)[0] == 200


def test_another_page_cannot_change_anything(server):
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        assert server.push(b'{"message":"evil"}', **headers)[0] == 403
    assert "evil" not in server.messages()


def test_our_own_page_may(server):
    assert server.push(b'{"message":"x"}', Origin=server.url)[0] == 200


@pytest.fixture
def guarded(start, tmp_path):
    tokens = Tokens(tmp_path / "data")
    token = tokens.add("anna")
    return start(), tokens, token


def test_with_a_token_nobody_is_let_in_without_one(guarded):
    server, _, token = guarded
    assert server.call("GET", "/api/v1/status")[0] == 401
    assert server.call("GET", "/api/v1/status", Authorization="Bearer wrong")[0] == 401
    assert server.call("GET", "/api/v1/status", Authorization=f"Bearer {token}")[0] == 200
    assert server.call("GET", "/healthz")[0] == 200


def test_a_program_with_a_token_may_use_any_name_that_leads_here(guarded):
    server, _, token = guarded
    name = "logs.example.com:7800"
    assert server.call("GET", "/api/v1/status", Host=name)[0] == 421
    assert server.call("GET", "/api/v1/status", Host=name, Authorization=f"Bearer {token}")[0] == 200
    assert server.call("GET", "/api/v1/status", Host=name, Authorization="Bearer tr_wrong")[0] == 401


def test_a_login_makes_a_session_that_ends_with_its_token(guarded):
    server, tokens, token = guarded
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert server.call("GET", "/", Accept="text/html")[1]["location"] == "/login"
    assert server.call("POST", "/login", body=urlencode({"token": "wrong"}), **form)[0] == 401
    status, headers, _ = server.call("POST", "/login", body=urlencode({"token": token}), **form)
    cookie = headers["set-cookie"]
    assert status == 303
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert f"Max-Age={SESSION_S}" in cookie
    assert token not in cookie
    session = cookie.partition(";")[0]
    assert server.call("GET", "/api/v1/status", Cookie=session)[0] == 200
    tokens.remove("anna")
    tokens.add("bert")

    from tests.apps.programs import until

    until(lambda: server.call("GET", "/api/v1/status", Cookie=session)[0] == 401)


def test_who_has_logged_in_at_one_server_is_let_in_by_each_that_has_the_same_tokens(guarded, start, tmp_path):
    """Behind a load balancer the next call goes anywhere; and a server that was restarted is as good as another."""
    server, _, token = guarded
    shutil.copytree(tmp_path / "data", tmp_path / "other", ignore=shutil.ignore_patterns("lock", "bus", "store"))
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    cookie = server.call("POST", "/login", body=urlencode({"token": token}), **form)[1]["set-cookie"].partition(";")[0]
    assert start(name="other").call("GET", "/api/v1/status", Cookie=cookie)[0] == 200
    # What was a cookie once is none any more: who has it logs in again.
    assert server.call("GET", "/api/v1/status", Cookie=f"tailrace_session={token}")[0] == 401
    assert server.call("GET", "/", Cookie=f"tailrace_session={token}", Accept="text/html")[1]["location"] == "/login"


def test_only_hashes_are_kept(guarded, tmp_path):
    _, _, token = guarded
    path = tmp_path / "data" / "tokens.json"
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(json.loads(path.read_text())) == ["anna"]
