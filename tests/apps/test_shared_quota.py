"""Two real servers with one Redis: a token has its quota once, whatever of them is killed."""

from __future__ import annotations

import itertools
import json
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tailrace.access.tokens import Tokens
from tests.apps import programs
from tests.apps.programs import tailrace, until
from tests.apps.test_quota import (
    Guarded,
    opened,
    read,
    test_a_tail_that_is_sent_too_much_ends_and_loses_nothing_by_it,  # noqa: F401 - run here, over Redis
    test_a_tail_too_many_is_refused_on_each_way_and_let_in_when_one_is_closed,  # noqa: F401
)

SOON = (
    "import sys, tailrace.cli, tailrace.limits as limits; limits.QUOTA_TAILS_S = 3.0; limits.QUOTA_BEAT_S = 0.5; "
    "limits.REDIS_RETRY_S = 0.2; limits.REDIS_ANSWER_S_MAX = 5.0; sys.exit(tailrace.cli.main())"
)


@pytest.fixture(autouse=True)
def _shared(request, monkeypatch, tmp_path):
    """Have the servers of a test share their quotas, and find out soon what became of Redis and the others."""
    monkeypatch.setattr(programs, "TAILRACE", [sys.executable, "-c", SOON])
    redis = request.getfixturevalue("start_redis")() if "own_redis" in request.fixturenames else None
    url = redis.url if redis else request.getfixturevalue("redis")
    shared = {"TAILRACE_REDIS__URL": url, "TAILRACE_REDIS__PREFIX": f"{tmp_path}:"}
    kept = programs.environment
    monkeypatch.setattr(programs, "environment", lambda **more: kept(**shared | more))
    return redis


@pytest.fixture
def own_redis(_shared):
    """A Redis that only the servers of this test have, and that may be killed."""
    return _shared


@pytest.fixture
def guarded(start, tmp_path) -> Callable[..., Guarded]:
    """Start a server with a token and a quota: keys of [quota]; ``settings`` are more of the environment."""
    numbers = itertools.count()

    def one(settings: dict[str, str] | None = None, **quota: object) -> Guarded:
        name = f"data{next(numbers) or ''}"
        token = Tokens(tmp_path / name).add("anna")
        limits = {f"TAILRACE_QUOTA__{key.upper()}": str(value) for key, value in quota.items()}
        return Guarded(start(name=name, **limits, **(settings or {})), token)

    return one


def problems(anna: Guarded) -> list[str]:
    return json.loads(anna.call("/api/v1/status")[2])["problems"]


def shares(anna: Guarded) -> bool:
    return anna.metric("tailrace_quota_shared") == 1


def tails(anna: Guarded) -> int:
    """Return how many tails the token has open, at all servers."""
    used = json.loads(anna.call("/api/v1/status")[2])["quota"]
    return next(one["used"] for one in used if one["limit"] == "tails")


def frames_of(stack: ExitStack, anna: Guarded, **parameters: object):
    """Open a tail that stays; return its frames, of which the first was a ping."""
    frames = stack.enter_context(anna.tail(**parameters))
    assert next(frames)[0] == "ping"
    return frames


def test_two_servers_let_in_together_what_one_token_may_have(guarded):
    one, two = guarded(tails=2, lines_per_s=100), guarded(tails=2, lines_per_s=100)
    with ExitStack() as stack:
        frames_of(stack, one)
        frames_of(stack, two)
        for anna in (one, two):
            until(lambda anna=anna: tails(anna) == 2)
            problem = anna.problem("/api/v1/tail")
            assert (problem["limit"], problem["used"], problem["allowed"]) == ("tails", 2, 2)
    said = tailrace("status", server=two.server, TAILRACE_TOKEN=two.token).stdout
    assert b" of 2" in said
    until(lambda: opened(one.tail()))

    one.push(0, 2_000)
    two.push(0, 10)
    with one.tail(last=2_000) as frames:
        messages: list[str] = []
        read(frames, messages, [], {}, 2_000)
    assert len(messages) > 500  # all that there was, and what goes beyond is owed
    until(lambda: not opened(two.tail(last=1)))
    problem = two.problem("/api/v1/tail")
    assert problem["limit"] == "lines_per_s"
    assert problem["used"] > 100


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_tails_of_a_server_that_ended_are_free_for_the_others(guarded, how):
    one, two = guarded(tails=1), guarded(tails=1)
    with one.tail() as frames:
        assert next(frames)[0] == "ping"
        until(lambda: not opened(two.tail()))
        one.server.stop(how)
        until(lambda: opened(two.tail()))


def test_a_redis_that_is_killed_costs_no_line_and_what_was_chosen_holds_until_it_is_back(guarded, own_redis):
    easy, strict = guarded(tails=2), guarded({"TAILRACE_REDIS__WHEN_GONE": "refuse"}, tails=2)
    with ExitStack() as stack:
        watching = [(anna, frames_of(stack, anna)) for anna in (easy, strict)]
        until(lambda: tails(easy) == 2)
        own_redis.kill()
        for anna, frames in watching:
            until(lambda anna=anna: not shares(anna))
            assert own_redis.url in problems(anna)[-1]
            anna.push(0, 500)
            messages: list[str] = []
            read(frames, messages, [], {}, 500)
            assert messages == [f"line {number}" for number in range(500)]
        frames_of(stack, easy)
        assert easy.problem("/api/v1/tail")["used"] == 2
        problem = strict.problem("/api/v1/tail")
        assert problem["limit"] == "redis"
        assert "nobody is let in" in str(problem["detail"])
        assert strict.problem("/api/v1/search", {"q": "line"})["limit"] == "redis"
        own_redis.start()
        for anna, _ in watching:
            until(lambda anna=anna: shares(anna) and not problems(anna))
            until(lambda anna=anna: tails(anna) == 3)
            assert anna.problem("/api/v1/tail")["limit"] == "tails"


def test_a_redis_that_stands_still_holds_no_line_up(guarded, own_redis):
    anna = guarded(lines_per_s=10_000)
    with anna.tail() as frames:
        assert next(frames)[0] == "ping"
        own_redis.pause()
        for number in range(20):
            anna.push(number * 100, number * 100 + 100)
            messages: list[str] = []
            read(frames, messages, [], {}, 100)
            assert messages == [f"line {line}" for line in range(number * 100, number * 100 + 100)]
        assert anna.call("/api/v1/search", {"q": "line"})[0] == 200
        own_redis.go_on()
    until(lambda: shares(anna))
