"""What an agent hears from a real etcd, and what etcd hears of it, whatever happens to either."""

import contextlib
import json
import stat
import time

import msgspec
import pytest
from tests.apps.programs import until

from tailrace.collect import gateway as calls
from tailrace.collect import remote
from tailrace.collect.addresses import addresses
from tailrace.collect.etcd import Presence, Wishes, keys_of
from tailrace.collect.gateway import Etcd, Gateway
from tailrace.collect.words import AgentState
from tailrace.errors import ConfigError


@pytest.fixture
def key(request):
    """Name a key of the test's own."""
    return f"test_etcd/{request.node.name}"


@pytest.fixture
def watching(tmp_path, key):
    """Watch keys; what is ended by a test is ended once."""
    started = []

    def one(url, *keys, directory=tmp_path, check=lambda _: None, start=True):
        told = []
        wishes = Wishes(
            Gateway(Etcd(endpoints=[url])), lambda: keys or (key,), directory, check, lambda: told.append(1)
        )
        wishes.told = told
        started.append(wishes)
        if start:
            wishes.start()
        return wishes

    yield one
    for wishes in started:
        wishes.stop()


def paths(wishes):
    return [wish.path for wish in wishes.wishes]


def entries(*named):
    return {"entries": [{"path": path} for path in named]}


def comes(wishes, *wanted):
    until(lambda: paths(wishes) == list(wanted))


# -- which keys ------------------------------------------------------------------------------------------------


def test_the_keys_are_those_of_the_name_and_of_each_address():
    keys = keys_of(Etcd(endpoints=["http://e"]), "box")
    assert keys[0] == "tailrace/agents/box"
    for ip in addresses():
        assert f"tailrace/agents/{ip}" in keys
        assert f"collect_log_{ip}_conf" in keys
    assert len(keys) == 1 + 2 * len(addresses())


def test_other_keys_may_be_named():
    keys = keys_of(Etcd(endpoints=["http://e"], prefix="logs/", keys=["conf/{host}/x"]), "box")
    assert [key for key in keys if "box" in key] == ["logs/agents/box", "conf/box/x"]


# -- what is heard ---------------------------------------------------------------------------------------------


def test_entries_are_added_changed_and_removed_as_they_are_written(etcd, key, watching):
    wishes = watching(etcd.url)
    etcd.put(key, entries("/a"))
    comes(wishes, "/a")
    etcd.put(key, entries("/a", "/b"))
    comes(wishes, "/a", "/b")
    etcd.put(key, entries("/b"))
    comes(wishes, "/b")
    etcd.delete(key)
    comes(wishes)
    assert wishes.problems() == []
    until(lambda: len(wishes.told) == 4)


def test_the_entries_of_several_keys_stand_in_the_order_of_the_keys(etcd, key, watching):
    wishes = watching(etcd.url, f"{key}/1", f"{key}/2")
    etcd.put(f"{key}/2", [{"path": "/two", "topic": "t"}])
    comes(wishes, "/two")
    etcd.put(f"{key}/1", entries("/one"))
    comes(wishes, "/one", "/two")
    etcd.delete(f"{key}/1")
    comes(wishes, "/two")


def test_a_bad_value_keeps_the_last_good_one_and_is_said_until_it_is_mended(etcd, key, watching):
    revision = etcd.put(key, entries("/a"))
    wishes = watching(etcd.url)
    comes(wishes, "/a")
    etcd.put(key, "nope")
    (problem,) = until(wishes.problems)
    assert problem.startswith(f"{key} in etcd: it is not JSON")
    assert problem.endswith(f"that of revision {revision} stays in use")
    assert paths(wishes) == ["/a"]
    (source,) = wishes.sources()
    assert (source.revision, source.entries, "not JSON" in source.error) == (revision, 1, True)
    etcd.put(key, entries("/b"))
    comes(wishes, "/b")
    assert wishes.problems() == []


def test_a_first_value_that_is_bad_has_nothing_followed(etcd, key, watching):
    etcd.put(key, "[{}]")
    (problem,) = until(watching(etcd.url).problems)
    assert problem.endswith("nothing is followed from there")


def test_what_the_check_refuses_is_a_bad_value_until_the_check_agrees(etcd, key, watching, tmp_path):
    allow = []

    def check(wishes):
        remote.check(wishes, {}, [], allow, here=True)

    etcd.put(key, entries(f"{tmp_path}/a.log"))
    wishes = watching(etcd.url, check=check)
    assert "names no roots" in until(wishes.problems)[0]
    assert paths(wishes) == []
    allow.append(str(tmp_path))
    wishes.recheck()
    assert (paths(wishes), wishes.problems()) == ([f"{tmp_path}/a.log"], [])
    allow.clear()
    wishes.recheck()
    assert (paths(wishes), "names no roots" in wishes.problems()[0]) == ([], True)


def test_a_value_that_is_bad_and_then_deleted_wants_nothing(etcd, key, watching):
    etcd.put(key, entries("/a"))
    wishes = watching(etcd.url)
    comes(wishes, "/a")
    etcd.put(key, "nope")
    until(wishes.problems)
    etcd.delete(key)
    comes(wishes)
    assert wishes.problems() == []


# -- what happens to the connection ----------------------------------------------------------------------------


def test_what_was_written_and_compacted_while_etcd_was_out_of_reach_is_there_afterwards(etcd, key, watching, proxy):
    way = proxy(etcd.port)
    etcd.put(key, entries("/a"))
    wishes = watching(way.url)
    comes(wishes, "/a")
    way.turn("refuse")
    until(lambda: "does not answer" in " ".join(wishes.problems()))
    for number in range(5):
        etcd.put(key, entries("/b", f"/{number}"))
    etcd.compact()
    way.turn("pass")
    comes(wishes, "/b", "/4")
    assert wishes.problems() == []


def test_history_that_is_compacted_between_reading_and_watching_is_read_again(etcd, key, watching, monkeypatch):
    etcd.put(key, entries("/a"))
    read = Gateway.read
    turns = []

    def late(gateway, keys):
        found = read(gateway, keys)
        if not turns:
            turns.append(1)
            etcd.put(key, entries("/b"))
            etcd.compact()
        return found

    monkeypatch.setattr(Gateway, "read", late)
    comes(watching(etcd.url), "/b")


def test_an_etcd_that_is_killed_and_started_again_is_watched_again(start_etcd, key, watching):
    etcd = start_etcd()
    etcd.put(key, entries("/a"))
    wishes = watching(etcd.url)
    comes(wishes, "/a")
    etcd.kill()
    until(lambda: "does not answer" in " ".join(wishes.problems()))
    assert paths(wishes) == ["/a"]
    etcd.start()
    etcd.put(key, entries("/b"))
    comes(wishes, "/b")
    assert wishes.problems() == []


def test_a_connection_that_is_dead_without_a_word_is_noticed(etcd, key, watching, proxy, monkeypatch):
    monkeypatch.setattr(calls, "ETCD_QUIET_S_MAX", 0.5)
    way = proxy(etcd.port)
    etcd.put(key, entries("/a"))
    wishes = watching(way.url)
    comes(wishes, "/a")
    way.turn("forget")
    etcd.put(key, entries("/b"))
    comes(wishes, "/b")


def test_a_silent_watch_is_begun_anew_without_anybody_being_told(etcd, key, watching, proxy, monkeypatch):
    monkeypatch.setattr(calls, "ETCD_QUIET_S_MAX", 0.1)
    etcd.put(key, entries("/a"))
    way = proxy(etcd.port)
    wishes = watching(way.url)
    until(lambda: way.connections > 3)
    assert (paths(wishes), wishes.told, wishes.problems()) == (["/a"], [1], [])


def test_another_member_is_asked_when_one_goes(start_etcd, etcd, key, watching, tmp_path):
    first = start_etcd()
    first.put(key, entries("/a"))
    etcd.put(key, entries("/b"))  # stands for another member: what matters is that it is asked
    wishes = Wishes(
        Gateway(Etcd(endpoints=[first.url, etcd.url])), lambda: [key], tmp_path, lambda _: None, lambda: None
    )
    wishes.start()
    comes(wishes, "/a")
    first.kill()
    comes(wishes, "/b")
    wishes.stop()


# -- what is kept ----------------------------------------------------------------------------------------------


def test_without_etcd_the_last_good_entries_are_in_use_from_the_start_on(start_etcd, key, watching, tmp_path):
    etcd = start_etcd()
    etcd.put(key, entries("/a"))
    first = watching(etcd.url)
    comes(first, "/a")
    etcd.put(key, "nope")
    until(first.problems)
    first.stop()
    etcd.kill()
    again = watching(etcd.url, start=False)
    assert paths(again) == ["/a"]
    again.start()
    assert "what it said last stays in use" in until(again.problems)[0]
    assert paths(again) == ["/a"]
    assert stat.S_IMODE((tmp_path / "etcd.json").stat().st_mode) == 0o600


def test_what_is_kept_is_checked_again_at_the_start(etcd, key, watching):
    etcd.put(key, entries("/a"))
    first = watching(etcd.url)
    comes(first, "/a")
    first.stop()

    def never(wishes):
        raise ConfigError("not any more")

    again = watching(etcd.url, check=never, start=False)
    assert (paths(again), "not any more" in again.problems()[0]) == ([], True)


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, b'{"cluster": 3}', b'{"cluster":"1","revision":1,"values":[]}'])
def test_a_file_that_is_damaged_is_said_and_written_anew(etcd, key, watching, tmp_path, damage):
    (tmp_path / "etcd.json").write_bytes(damage)
    wishes = watching(etcd.url, start=False)
    assert (paths(wishes), "cannot be read" in wishes.problems()[0]) == ([], True)
    etcd.put(key, entries("/a"))
    wishes.start()
    comes(wishes, "/a")
    until(lambda: not wishes.problems())
    assert paths(watching(etcd.url, start=False)) == ["/a"]


def test_a_file_that_cannot_be_written_is_said_and_costs_nothing_else(etcd, key, watching, tmp_path):
    (tmp_path / "etcd.new").mkdir()
    etcd.put(key, entries("/a"))
    wishes = watching(etcd.url)
    comes(wishes, "/a")
    assert "cannot be written" in until(wishes.problems)[0]
    (tmp_path / "etcd.new").rmdir()
    etcd.put(key, entries("/b"))
    comes(wishes, "/b")
    until(lambda: not wishes.problems())


def test_an_etcd_that_was_made_anew_has_deleted_nothing(start_etcd, key, watching):
    old, new = start_etcd(), start_etcd()
    for number in range(10):
        old.put(key, entries("/a", f"/{number}"))
    first = watching(old.url)
    comes(first, "/a", "/9")
    first.stop()
    wishes = watching(new.url)
    assert "made anew" in until(wishes.problems)[0]
    assert paths(wishes) == ["/a", "/9"]
    new.put(key, entries("/b"))
    comes(wishes, "/b")
    assert wishes.problems() == []
    wishes.stop()
    new.delete(key)
    comes(watching(new.url))  # what the new one has said once, it can take back


# -- what is told ----------------------------------------------------------------------------------------------


class Agent:
    """An agent whose state tests change."""

    def __init__(self, url, host, gone_s=60, **more):
        self.state = AgentState(host, "1", [], "t", "t", 0, 0, 0, 0, [], [], [], [])
        self.host = host
        gateway = Gateway(Etcd(endpoints=[url], **more))
        self.presence = Presence(gateway, "test_etcd/", host, gone_s, lambda: self.state)
        self.presence.start()

    def becomes(self, **changes):
        self.state = msgspec.structs.replace(self.state, **changes)
        self.presence.look()


@pytest.fixture
def agent(request):
    """Start agents; what a test has not stopped is stopped."""
    started = []

    def one(url, **more):
        started.append(Agent(url, request.node.name, **more))
        return started[-1]

    yield one
    for each in started:
        each.presence.stop()


def state_of(etcd, agent):
    return etcd.json(f"test_etcd/state/{agent.host}")


def versions(etcd, agent):
    found = etcd.call("kv/range", key=calls.base64_of(f"test_etcd/state/{agent.host}"))["kvs"]
    return int(found[0]["version"])


def test_the_state_is_there_and_changes_when_it_is_another(etcd, agent):
    one = agent(etcd.url)
    until(lambda: state_of(etcd, one))
    one.becomes(files=3, problems=["the disk is full"])
    until(lambda: state_of(etcd, one)["files"] == 3)
    assert state_of(etcd, one)["problems"] == ["the disk is full"]
    assert etcd.json(f"test_etcd/seen/{one.host}")["version"] == "1"


def test_what_is_only_a_little_different_is_not_written_again(etcd, agent):
    one = agent(etcd.url)
    until(lambda: state_of(etcd, one))
    for number in range(1, 50):
        one.becomes(lag_bytes=1000 * number, waiting_records=number, at=f"{number}")
    one.becomes(files=1)
    until(lambda: state_of(etcd, one)["files"] == 1)
    assert versions(etcd, one) == 2
    assert state_of(etcd, one)["lag_bytes"] == 0
    one.becomes(lag_bytes=50_000_000)
    until(lambda: state_of(etcd, one)["lag_bytes"] == 50_000_000)


def test_an_agent_that_stops_takes_its_state_along_and_says_so(etcd, agent):
    one = agent(etcd.url)
    until(lambda: state_of(etcd, one))
    one.presence.stop()
    assert state_of(etcd, one) is None
    assert etcd.json(f"test_etcd/seen/{one.host}")["stopped"] is True


def test_the_state_outlives_its_lease_for_as_long_as_the_agent_lives(start_etcd, agent):
    etcd = start_etcd()
    one = agent(etcd.url, gone_s=1)
    until(lambda: state_of(etcd, one))
    (lease,) = {kv["lease"] for kv in etcd.call("kv/range", key=calls.base64_of(f"test_etcd/state/{one.host}"))["kvs"]}
    granted = etcd.call("lease/timetolive", ID=lease)
    passed = time.monotonic() + int(granted["grantedTTL"]) + 1
    until(lambda: time.monotonic() > passed)
    assert state_of(etcd, one)
    assert versions(etcd, one) == 1


def test_a_lease_that_is_lost_is_made_anew_with_the_state(etcd, agent):
    one = agent(etcd.url, gone_s=2)
    until(lambda: state_of(etcd, one))
    etcd.call("lease/revoke", ID=one.presence._lease)
    assert state_of(etcd, one) is None
    until(lambda: state_of(etcd, one))


def test_an_agent_that_may_not_write_says_so_and_leaves_no_leases_behind(start_etcd, agent):
    etcd = start_etcd()
    etcd.call("auth/user/add", name="root", password="all")
    etcd.call("auth/role/add", name="root")
    etcd.call("auth/user/grant", user="root", role="root")
    etcd.call("auth/user/add", name="reader", password="")
    etcd.call("auth/enable")
    one = agent(etcd.url, user="reader", gone_s=1)
    assert "permission denied" in until(lambda: one.presence.error)
    leases = (one.presence._lease, one.presence._seen_lease)
    for _ in range(3):
        one.presence.error = ""
        one.presence.look()
        until(lambda: one.presence.error)
    assert (one.presence._lease, one.presence._seen_lease) == leases


def test_an_etcd_that_is_away_is_said_and_learns_the_state_when_it_is_back(start_etcd, agent):
    etcd = start_etcd()
    etcd.kill()
    one = agent(etcd.url, gone_s=3)
    assert "does not answer" in until(lambda: one.presence.error)
    etcd.start()
    until(lambda: state_of(etcd, one))
    until(lambda: not one.presence.error)


def test_stopping_does_not_wait_for_an_etcd_that_hangs(etcd, watching, key, proxy, monkeypatch):
    monkeypatch.setattr(calls, "ETCD_QUIET_S_MAX", 3600)
    way = proxy(etcd.port)
    etcd.put(key, entries("/a"))
    wishes = watching(way.url)
    comes(wishes, "/a")
    way.turn("hole")
    wishes.stop()
    assert not wishes._thread.is_alive()
    way.turn("pass")


def test_the_file_is_replaced_as_a_whole(etcd, key, watching, tmp_path):
    wishes = watching(etcd.url)
    for number in range(20):
        etcd.put(key, entries(f"/{number}"))
        with contextlib.suppress(FileNotFoundError):
            json.loads((tmp_path / "etcd.json").read_bytes())
    comes(wishes, "/19")
    wishes.stop()
    assert "/19" in (tmp_path / "etcd.json").read_text()
