"""Calls to a real etcd: what is asked comes, and whatever is wrong has its name."""

import socket
import sys
import threading

import pytest
from tests.apps.agent.tls import certificate
from tests.apps.programs import until
from tests.servers.etcd import base64

from tailrace.collect import gateway
from tailrace.collect.gateway import Declined, Etcd, Gateway, base64_of, changes
from tailrace.errors import Away, ConfigError


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def to(*urls, **more):
    return Gateway(Etcd(endpoints=list(urls), **more))


def heard(gateway, keys, revision, count):
    """Return so many changes that a watch brings."""
    found = []
    for said in gateway.watch(keys, revision):
        found += [(value.key, value.value, there) for value, there in changes(said)]
        if len(found) >= count:
            return found
    raise AssertionError("the watch has ended")


def test_keys_are_read_at_one_revision(etcd):
    etcd.put("gateway/a", "1")
    revision = etcd.put("gateway/b", "支付")
    found, now, cluster = to(etcd.url).read(["gateway/a", "gateway/b", "gateway/none"])
    assert {key: one.value.decode() for key, one in found.items()} == {"gateway/a": "1", "gateway/b": "支付"}
    assert (found["gateway/b"].revision, now) == (revision, revision)
    assert int(cluster) > 0


def test_a_watch_brings_what_was_written_since_and_what_is_written_now(etcd):
    first = etcd.put("gateway/w1", "1")
    etcd.delete("gateway/w1")
    timer = threading.Timer(0.1, lambda: etcd.put("gateway/w2", "2"))
    timer.start()
    wanted = [("gateway/w1", b"1", True), ("gateway/w1", b"", False), ("gateway/w2", b"2", True)]
    assert heard(to(etcd.url), ["gateway/w1", "gateway/w2"], first, 3) == wanted
    timer.join()


def test_a_watch_of_history_that_is_compacted_says_so(etcd):
    first = etcd.put("gateway/c", "1")
    etcd.compact()
    said = next(one for one in to(etcd.url).watch(["gateway/c"], first) if one.get("canceled"))
    assert int(said["compact_revision"]) > first


def test_a_watch_that_is_silent_ends(etcd, monkeypatch):
    monkeypatch.setattr(gateway, "ETCD_QUIET_S_MAX", 0.2)
    revision = etcd.put("gateway/s", "1")
    said = list(to(etcd.url).watch(["gateway/s"], revision + 1))
    assert [one.get("created") for one in said] == [True]


def test_a_watch_is_ended_from_another_thread(etcd):
    asked = to(etcd.url)
    revision = etcd.put("gateway/e", "1")
    created = threading.Event()

    def stop():
        created.wait(20)
        asked.stop()

    stopping = threading.Thread(target=stop)
    stopping.start()
    said = asked.watch(["gateway/e"], revision + 1)
    assert next(said)["created"]
    created.set()
    with pytest.raises(Away):
        next(said)
    stopping.join()
    with pytest.raises(Away, match="stopping"):
        asked.read(["gateway/e"])


def test_a_member_that_is_away_is_passed_over(etcd):
    etcd.put("gateway/f", "1")
    asked = to(f"http://127.0.0.1:{free_port()}", etcd.url)
    assert "gateway/f" in asked.read(["gateway/f"])[0]
    assert asked._current == 1  # and the next call begins with the one that answered


def test_when_all_are_away_each_is_named():
    ports = [free_port(), free_port()]
    with pytest.raises(Away) as error:
        to(*(f"http://127.0.0.1:{port}" for port in ports)).read(["a"])
    for port in ports:
        assert f"http://127.0.0.1:{port}: Failed to establish a new connection" in error.value.message


def test_a_connection_that_died_meanwhile_costs_no_call(etcd, proxy):
    way = proxy(etcd.port)
    asked = to(way.url)
    asked.read(["gateway/d"])
    way.turn("pass")
    asked.read(["gateway/d"])
    assert way.connections == 2


@pytest.mark.parametrize(
    "answer", [b"200 OK\r\nContent-Length: 5\r\n\r\nhello", b"404 Not Found\r\nContent-Length: 0\r\n\r\n"]
)
def test_what_is_no_etcd_is_said(etcd, proxy, answer):
    way = proxy(etcd.port)
    way.turn(b"HTTP/1.1 " + answer)
    with pytest.raises(Away, match="not etcd"):
        to(way.url).read(["a"])


def test_what_etcd_declines_is_not_asked_of_another_member(etcd):
    asked = to(etcd.url, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Declined, match="requested lease not found"):
        asked.call("kv/put", {"key": base64_of("gateway/l"), "lease": "99"})


def test_a_user_logs_in_and_again_when_etcd_has_forgotten_the_token(start_etcd, tmp_path, monkeypatch):
    etcd = start_etcd()
    for name, password in (("root", "all"), ("agent", "hush")):
        etcd.call("auth/user/add", name=name, password=password)
    etcd.call("auth/role/add", name="root")
    etcd.call("auth/user/grant", user="root", role="root")
    etcd.call("auth/role/add", name="agents")
    ours = {"permType": "READWRITE", "key": base64("tailrace/"), "range_end": base64("tailrace0")}
    etcd.call("auth/role/grant", name="agents", perm=ours)
    etcd.call("auth/user/grant", user="agent", role="agents")
    etcd.put("tailrace/a", "1")
    etcd.call("auth/enable")
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    asked = to(etcd.url, user="agent", password_file=str(secret))
    assert asked.read(["tailrace/a"])[0]["tailrace/a"].value == b"1"
    assert next(iter(asked.watch(["tailrace/a"], 1)))["created"]
    etcd.kill()
    etcd.start()
    assert until(lambda: asked.read(["tailrace/a"])[0])["tailrace/a"].value == b"1"
    with pytest.raises(Declined, match="permission denied"):
        asked.read(["others/a"])
    with pytest.raises(Declined):
        to(etcd.url).read(["tailrace/a"])
    monkeypatch.setenv("TAILRACE_ETCD_PASSWORD", "wrong")
    with pytest.raises(Declined) as error:
        to(etcd.url, user="agent").read(["tailrace/a"])
    assert "wrong" not in str(error.value)


def test_a_user_where_etcd_asks_for_none_is_nobody(etcd):
    assert to(etcd.url, user="agent").read(["gateway/none"])[0] == {}


def test_over_tls_only_who_is_verified_is_asked(start_etcd, tmp_path):
    key, made = certificate(tmp_path, "etcd")
    etcd = start_etcd("--cert-file", made, "--key-file", key, scheme="https")
    asked = to(etcd.url, ca_file=str(made))
    asked.call("kv/put", {"key": base64_of("a"), "value": base64_of("1")})
    assert asked.read(["a"])[0]["a"].value == b"1"
    assert heard(asked, ["a"], 1, 1) == [("a", b"1", True)]
    with pytest.raises(Away, match="certificate verify failed"):
        to(etcd.url).read(["a"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoints": ["etcd1:2379"]},
        {"endpoints": ["ftp://etcd1"]},
        {"endpoints": ["http://me:hush@etcd1:2379"]},
        {"keys": ["collect_log_conf"]},
        {"keys": ["{ip}{name}"]},
        {"prefix": ""},
        {"cert_file": "a.pem"},
    ],
)
def test_a_section_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"etcd\."):
        Etcd(**wrong).check()


def test_without_its_library_etcd_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "urllib3", None)
    Etcd().check()
    with pytest.raises(ConfigError) as error:
        Etcd(endpoints=["http://etcd1:2379"]).check()
    assert "tailrace[etcd]" in error.value.cure
