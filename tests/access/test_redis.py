"""The books in a real Redis: what one run of a script takes, gives back and forgets."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.access import redis as module
from tailrace.access.redis import Books, Lease, NoAnswer, Page, Shut, Use
from tailrace.limits import BREAKER_S, BREAKER_TIMEOUTS, QUOTA_TAILS_S
from tailrace.sections import Redis


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


NUMBERS = itertools.count()
RATE, BURST_S = 0.001, 10_000_000.0
"""So slow that no room comes back while a test runs: 10,000 are there, and that is all."""


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """Redis has its time to answer on a machine that is busy with other tests."""
    monkeypatch.setattr("tailrace.access.redis.REDIS_ANSWER_S_MAX", 20)


@asynccontextmanager
async def books(given: Redis, *names: str):
    """Open the books at as many servers, and close them."""
    opened = [Books(given, name) for name in names]
    try:
        yield opened
    finally:
        for one in opened:
            await one.close()


async def settle(one: Books, *, used: float = 0, back: float = 0, tails: int = 0, rate: float = RATE) -> Lease:
    page = Page("quota:total", tails, [Use("lines", rate, BURST_S, used, back)])
    (settled,), _ = await one.settle([page], [])
    return settled.leases[0]


async def tails(one: Books, count: int) -> int:
    """Say how many tails are open here; return how many are open elsewhere."""
    (settled,), _ = await one.settle([Page("quota:name:anna", count, [])], [])
    return settled.elsewhere


def test_what_is_leased_is_out_of_the_room_until_it_is_given_back(given):
    async def run():
        async with books(given, "a", "b") as (a, b):
            first = await settle(a)
            second = await settle(b)
            assert first.granted == pytest.approx(5000, abs=1)
            assert second.granted == pytest.approx(10_000 / 3, abs=1)
            assert second.left == pytest.approx(10_000 - 5000 - 10_000 / 3, abs=1)
            again = await settle(a, back=5000)
            assert again.granted + again.left + second.granted == pytest.approx(10_000, abs=1)

    asyncio.run(run())


def test_what_is_owed_is_paid_before_anybody_gets_a_lease(given):
    async def run():
        async with books(given, "a", "b") as (a, b):
            await settle(a)
            assert (await settle(a, used=20_000, back=-15_000)).granted == 0
            assert (await settle(b)).granted == 0
            assert (await settle(b)).left == pytest.approx(-10_000, abs=1)

    asyncio.run(run())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 2), st.floats(0, 3000), st.booleans()), min_size=1, max_size=40))
def test_leases_room_and_what_was_used_are_always_all_that_there_was(redis, steps):
    """Three servers use parts of their leases, or more than these, and settle in any order."""

    async def run():
        async with books(Redis(url=redis, prefix=f"steps {os.getpid()} {next(NUMBERS)}:"), "a", "b", "c") as servers:
            held, unsaid, used_in_all, room = [0.0] * 3, [0.0] * 3, 0.0, 10_000.0
            for n, use, is_settled in steps:
                if held[n] > 0:  # the rule of a meter: while there is anything, one charge of any size
                    held[n] -= use
                    unsaid[n] += use
                    used_in_all += use
                if is_settled:
                    lease = await settle(servers[n], used=unsaid[n], back=held[n])
                    held[n], unsaid[n], room = lease.granted, 0.0, lease.left
                    assert lease.granted >= 0
                    assert lease.granted == 0 or lease.left >= 0
                assert sum(held) + room + used_in_all == pytest.approx(10_000, abs=1)

    asyncio.run(run())


def test_room_comes_back_at_the_rate_and_never_beyond_the_burst(given):
    async def run():
        async with books(given, "a") as (a,):
            page = Page("quota:total", 0, [Use("lines", 1e6, 5.0, 0, -4e6)])
            before = (await a.settle([page], []))[0][0].leases[0]
            page = Page("quota:total", 0, [Use("lines", 1e6, 5.0, 0, before.granted)])
            for _ in range(20):
                after = (await a.settle([page], []))[0][0].leases[0]
                page = Page("quota:total", 0, [Use("lines", 1e6, 5.0, 0, after.granted)])
            assert before.granted + before.left < after.granted + after.left
            page = Page("quota:total", 0, [Use("lines", 1e6, 5.0, 0, 9e9)])
            full = (await a.settle([page], []))[0][0].leases[0]
            assert full.granted + full.left == 5e6

    asyncio.run(run())


def test_tails_are_counted_over_all_servers(given):
    async def run():
        async with books(given, "a", "b", "c") as (a, b, c):
            assert await tails(a, 2) == 0
            assert await tails(b, 3) == 2
            assert await tails(c, 0) == 5
            assert await tails(a, 1) == 3
            assert await tails(c, 0) == 4

    asyncio.run(run())


def test_a_server_that_leaves_takes_its_tails_along(given):
    async def run():
        async with books(given, "a", "b") as (a, b):
            await tails(a, 2)
            assert await tails(b, 1) == 2
            await tails(a, -1)
            assert await tails(b, 1) == 0
            await tails(b, -1)
            assert await a._redis.keys(f"{given.prefix}*") == []

    asyncio.run(run())


def test_the_tails_of_a_server_that_says_nothing_more_are_forgotten(given, monkeypatch):
    async def run():
        async with books(given, "a", "b") as (a, b):
            monkeypatch.setattr("tailrace.access.redis.QUOTA_TAILS_S", 0.3)
            await tails(a, 2)
            monkeypatch.setattr("tailrace.access.redis.QUOTA_TAILS_S", QUOTA_TAILS_S)
            async with asyncio.timeout(20):
                while await tails(b, 1):
                    pass

    asyncio.run(run())


def test_every_key_has_an_end(given):
    async def run():
        async with books(given, "a") as (a,):
            await a.settle(
                [Page("quota:total", 3, [Use("lines", 100, 5.0, 0, -10_000)]), Page("quota:name:anna", 1, [])],
                [Shut(bytes([n]), late=True) for n in (1, 2, 2, 2)],
            )
            ends = {key: await a._redis.pttl(key) / 1000 for key in await a._redis.keys(f"{given.prefix}*")}
            assert len(ends) == 4
            debt_s = 10_000 / 100
            assert ends[f"{given.prefix}quota:total".encode()] == pytest.approx(debt_s, abs=2)
            assert ends[f"{given.prefix}quota:name:anna".encode()] == pytest.approx(QUOTA_TAILS_S, abs=2)
            assert ends[f"{given.prefix}late:01".encode()] == pytest.approx(BREAKER_S, abs=2)
            assert ends[f"{given.prefix}shut:02".encode()] == pytest.approx(BREAKER_S, abs=2)

    asyncio.run(run())


def test_a_query_is_shut_out_for_all_when_it_ran_out_of_its_time_often_enough_in_all(given):
    async def run():
        async with books(given, "a", "b") as servers:
            for n in range(BREAKER_TIMEOUTS - 1):
                assert (await servers[n % 2].settle([], [Shut(b"slow", late=True)]))[1] == [0]
            assert (await servers[0].settle([], [Shut(b"slow")]))[1] == [0]
            assert (await servers[1].settle([], [Shut(b"slow", late=True)]))[1] == [BREAKER_S]
            (left_s, other_s) = (await servers[0].settle([], [Shut(b"slow"), Shut(b"quick")]))[1]
            assert BREAKER_S - 10 < left_s <= BREAKER_S
            assert other_s == 0

    asyncio.run(run())


def test_scripts_that_redis_has_lost_are_loaded_again(given):
    async def run():
        async with books(given, "a") as (a,):
            await tails(a, 2)
            await a._redis.script_flush()
            (one, two), (shut_s,) = await a.settle(
                [Page("quota:total", 1, []), Page("quota:name:anna", 1, [])], [Shut(b"slow", late=True)]
            )
            assert (one.elsewhere, two.elsewhere, shut_s) == (0, 0, 0)

    asyncio.run(run())


def test_a_redis_that_is_not_there_gives_no_answer():
    async def run():
        async with books(Redis(url=f"redis://127.0.0.1:{free_port()}"), "a") as (a,):
            with pytest.raises(NoAnswer, match=r"127\.0\.0\.1"):
                await tails(a, 1)

    asyncio.run(run())


def test_a_connection_that_ends_just_before_it_is_written_to_gives_no_answer_and_other_faults_are_not_hidden(
    given, monkeypatch
):
    async def play():
        async with books(given, "a") as (one,):
            await one.settle([], [])
            for said, error in (("<TCPTransport closed=True>; the handler is closed", NoAnswer), ("?", RuntimeError)):

                def closed(*_, said=said):
                    raise RuntimeError(said)

                with monkeypatch.context() as broken:
                    broken.setattr(asyncio.StreamWriter, "writelines", closed)
                    with pytest.raises(error):
                        await one.settle([Page("quota:closed", 0, [])], [])
            assert len((await one.settle([Page("quota:closed", 0, [])], []))[0]) == 1

    asyncio.run(play())


def test_a_user_with_no_more_rights_than_the_head_of_the_module_names_is_enough(start_redis, tmp_path):
    rights = " ".join(str(module.__doc__).split("an ACL user: ")[1].split()).replace("`", "").rstrip(".").split(" and ")
    who = f"on >secret {rights[0].replace('PREFIX', 'tailrace:')} {rights[1]}"
    server = start_redis("--user", "default", "off", "--user", "logs", *who.split())
    (tmp_path / "password").write_text("secret\n")
    given = Redis(url=server.url, user="logs", password_file=str(tmp_path / "password"))

    async def run():
        async with books(given, "a") as (a,):
            await a.settle(
                [Page("quota:total", 3, [Use("lines", 100, 5.0, 0, -10_000)])],
                [Shut(b"slow", late=True)] * BREAKER_TIMEOUTS + [Shut(b"slow")],
            )
            await tails(a, -1)

    asyncio.run(run())


def test_a_wrong_password_is_said_and_the_next_one_is_read_again(start_redis, tmp_path):
    server = start_redis("--requirepass", "right")
    password = tmp_path / "password"
    password.write_text("wrong")

    async def run():
        async with books(Redis(url=server.url, password_file=str(password)), "a") as (a,):
            with pytest.raises(NoAnswer, match=r"(?i)password"):
                await tails(a, 1)
            password.write_text("right")
            assert await tails(a, 1) == 0
            await a.close()
            password.unlink()
            with pytest.raises(NoAnswer, match="No such file"):
                await tails(a, 1)

    asyncio.run(run())


def test_the_password_comes_from_the_environment_when_no_file_is_named(start_redis, monkeypatch):
    server = start_redis("--requirepass", "right")
    monkeypatch.setenv("TAILRACE_REDIS_PASSWORD", "right")

    async def run():
        async with books(Redis(url=server.url), "a") as (a,):
            assert await tails(a, 1) == 0

    asyncio.run(run())


def test_tls_is_spoken_to_whom_the_authority_vouches_for_and_to_nobody_else(start_redis, tmp_path):
    cert, key, port = tmp_path / "cert.pem", tmp_path / "key.pem", free_port()
    making = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
              "-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]  # fmt: skip
    subprocess.run(making, check=True, capture_output=True)
    files = ("--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert)
    start_redis("--tls-port", port, *files, "--tls-auth-clients", "no")

    async def run():
        url = f"rediss://127.0.0.1:{port}/0"
        async with books(Redis(url=url, ca_file=str(cert)), "a") as (a,):
            assert await tails(a, 1) == 0
        async with books(Redis(url=url), "a") as (a,):
            with pytest.raises(NoAnswer, match=r"(?i)certificate.verify.failed"):
                await tails(a, 1)

    asyncio.run(run())


def test_another_number_of_a_database_is_another_place(redis):
    async def run():
        one = Redis(url=redis + "/1")
        two = Redis(url=redis + "/2")
        async with books(one, "a") as (a,), books(two, "b") as (b,):
            await tails(a, 5)
            assert await tails(b, 1) == 0
            await a.settle([Page("quota:name:anna", -1, [])], [])

    asyncio.run(run())
