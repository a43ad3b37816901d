"""Outputs against a server that fails in every way and order: nothing is lost, nothing is doubled."""

import contextlib
import random
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.bus.disk import DiskBus
from tailrace.errors import DiskFull
from tailrace.limits import SPOOL_SEGMENT_BYTES_MIN
from tailrace.ship import output as output_module
from tailrace.ship.connection import Server
from tailrace.ship.shipping import Shipping
from tests.apps.programs import until
from tests.batches import batch_of
from tests.ship.faulty import Faulty

FAULTS = ["ok", "before", "after", "half", "garbage", "other", "500", "429", "401", "404", "302"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Waits of a real outage take minutes; here they are thousandths, and just as many."""
    monkeypatch.setattr(output_module, "SHIP_RETRY_S_MIN", 0.001)
    monkeypatch.setattr(output_module, "SHIP_RETRY_S_MAX", 0.002)
    monkeypatch.setattr(output_module, "SHIP_REST_S", 0.001)


@contextmanager
def spool(directory, **more):
    bus = DiskBus(directory / "spool", bytes_max=0, **more)
    shipping = Shipping(bus, directory / "dead", host="web-1")
    try:
        yield bus, shipping
    finally:
        shipping.stop(0)
        bus.close()


@contextmanager
def faulty(directory, faults=()):
    one = Faulty(directory, faults)
    try:
        yield one
    finally:
        one.close()


def put(bus, first, count, size=0):
    messages = [f"line {n}{' ' * size}" for n in range(first, first + count)]
    bus.append(batch_of(messages, source="file:1", first=first)).result(20)


def idle(shipping):
    return all(one.state == "idle" for one in shipping.status())


def lines(count):
    return [f"line {n}" for n in range(count)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(FAULTS), max_size=12), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_any_order_of_failures_loses_and_doubles_nothing(faults, sizes):
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        with faulty(directory / "server", faults) as server, spool(directory) as (bus, shipping):
            shipping.change([Server(server.url)])
            sent = 0
            for size in sizes:
                put(bus, sent, size)
                sent += size
            until(lambda: idle(shipping) and len(server.messages()) >= sent)
            assert server.messages() == lines(sent)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["ok", "before", "after", "half"]), max_size=6), st.integers(1, 4))
def test_an_agent_that_begins_again_at_any_point_loses_and_doubles_nothing(faults, lives):
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        with faulty(directory / "server", faults) as server:
            for life in range(lives):
                with spool(directory) as (bus, shipping):
                    shipping.change([Server(server.url)])
                    put(bus, life * 10, 10)
                    if life == lives - 1:
                        until(lambda: idle(shipping))
            assert server.messages() == lines(lives * 10)


def test_an_outage_of_five_hundred_tries_loses_nothing(tmp_path):
    chance = random.Random(2)
    faults = chance.choices(FAULTS[1:], k=500)
    with faulty(tmp_path / "server", faults) as server:
        sent = 0
        while server.faults:
            with spool(tmp_path) as (bus, shipping):  # an agent that begins again
                shipping.change([Server(server.url)])
                put(bus, sent, 10)
                sent += 10
                left = max(len(server.faults) - 50, 0)
                until(lambda: len(server.faults) <= left)  # noqa: B023 - it is called in this turn
        with spool(tmp_path) as (bus, shipping):
            shipping.change([Server(server.url)])
            until(lambda: idle(shipping))
        assert server.messages() == lines(sent)


def test_a_server_that_has_lost_everything_gets_what_the_spool_still_has(tmp_path):
    with faulty(tmp_path / "server") as server, spool(tmp_path) as (bus, shipping):
        shipping.change([Server(server.url)])
        put(bus, 0, 10)
        until(lambda: server.messages() == lines(10))
        server.faults = ["wipe"]
        put(bus, 10, 10)
        until(lambda: server.lives and len(server.messages()) >= 20)
        assert server.messages() == lines(20)


def test_only_the_poison_record_is_put_aside_and_the_rest_arrives(tmp_path):
    with faulty(tmp_path / "server") as server, spool(tmp_path) as (bus, shipping):
        server.poison = "line 13"
        put(bus, 0, 40)
        shipping.change([Server(server.url)])
        until(lambda: idle(shipping))
        assert server.messages() == [text for text in lines(40) if text != "line 13"]
        assert shipping.status()[0].dead == 1
        (dead,) = (tmp_path / "dead").iterdir()
        assert '"why":"it answered 400: line 13 is not taken here"' in dead.read_text()
        assert '"message":"line 13"' in dead.read_text()


def test_a_block_that_is_too_large_is_sent_in_smaller_ones(tmp_path):
    with faulty(tmp_path / "server") as server, spool(tmp_path) as (bus, shipping):
        server.rows_max = 3
        put(bus, 0, 40)
        shipping.change([Server(server.url)])
        until(lambda: idle(shipping))
        assert (server.messages(), shipping.status()[0].dead) == (lines(40), 0)


def test_an_error_page_of_something_between_puts_nothing_aside(tmp_path):
    with faulty(tmp_path / "server", ["ok", *["400", "413"] * 5]) as server, spool(tmp_path) as (bus, shipping):
        put(bus, 0, 4)
        shipping.change([Server(server.url)])
        until(lambda: idle(shipping))
        assert (server.messages(), shipping.status()[0].dead) == (lines(4), 0)


def test_a_dead_server_holds_up_no_other_and_catches_up(tmp_path):
    silent = ["before"] * 100_000
    with (
        faulty(tmp_path / "a") as good,
        faulty(tmp_path / "b", silent) as dead,
        spool(tmp_path, segment_bytes=1024) as (bus, shipping),
    ):
        shipping.change([Server(good.url), Server(dead.url)])
        for turn in range(20):
            put(bus, turn * 10, 10)
        until(lambda: good.messages() == lines(200))
        wanted = {good.url: ("idle", 0), dead.url: ("failing", 200)}
        until(lambda: {one.server: (one.state, one.waiting) for one in shipping.status()} == wanted)
        assert bus.first.offset == 0
        dead.faults = []
        until(lambda: dead.messages() == lines(200))
        until(lambda: bus.first.offset > 100)


def test_the_spool_keeps_no_more_than_what_waits(tmp_path):
    with faulty(tmp_path / "server") as server, spool(tmp_path, segment_bytes=1024) as (bus, shipping):
        shipping.change([Server(server.url)])
        for turn in range(50):
            put(bus, turn * 10, 10)
        until(lambda: bus.bytes < 4096)
        until(lambda: server.messages() == lines(500))


def test_a_server_that_is_taken_away_and_named_again_goes_on_where_it_was(tmp_path):
    with faulty(tmp_path / "server") as server, spool(tmp_path, segment_bytes=1024) as (bus, shipping):
        for turn in range(10):
            shipping.change([Server(server.url)] if turn % 2 else [])
            put(bus, turn * 10, 10)
        until(lambda: len(server.messages()) >= 100)
        assert server.messages() == lines(100)


def test_a_full_spool_refuses_until_a_server_has_taken_something(tmp_path):
    with (
        faulty(tmp_path / "server") as server,
        spool(tmp_path, segment_bytes=4096, spool_bytes=32 * 1024) as (bus, shipping),
    ):
        sent = 0
        with contextlib.suppress(DiskFull):
            while sent < 10_000:
                put(bus, sent, 10, size=200)
                sent += 10
        assert 0 < sent < 10_000
        assert "full" in bus.error
        shipping.change([Server(server.url)])
        until(lambda: idle(shipping))
        put(bus, sent, 10, size=200)
        until(lambda: len(server.messages()) == sent + 10)
        assert [text.strip() for text in server.messages()] == lines(sent + 10)


def test_an_agent_whose_disk_was_put_back_to_an_older_state_loses_nothing(tmp_path):
    """The records that came after it have the offsets of others, which the server has."""
    with faulty(tmp_path / "server") as server:
        with spool(tmp_path, segment_bytes=SPOOL_SEGMENT_BYTES_MIN) as (bus, shipping):
            put(bus, 0, 5)
            bus.close()
            backup = {path: path.read_bytes() for path in (tmp_path / "spool").iterdir()}
        with spool(tmp_path) as (bus, shipping):
            put(bus, 5, 5)
            shipping.change([Server(server.url)])
            until(lambda: server.messages() == lines(10))
        for path in (tmp_path / "spool").iterdir():
            path.unlink()
        for path, data in backup.items():
            path.write_bytes(data)
        for _ in range(2):  # it finds its name again after a restart
            with spool(tmp_path) as (bus, shipping):
                bus.append(batch_of([f"other {n}" for n in range(10)])).result(20)
                shipping.change([Server(server.url)])
                until(lambda: idle(shipping) and len(bus.read(bus.first, 1 << 20)))
        assert server.messages() == [*lines(10), *lines(5), *[f"other {n}" for n in range(10)] * 2]
