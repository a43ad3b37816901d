"""Quotas as scripts: what is let in, what is refused, and when it is let in again. Time is a number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.access.quota import Account, Allowance, Breaker, Quota
from tailrace.access.redis import Books, NoAnswer
from tailrace.access.shared import SharedQuota
from tailrace.errors import OverQuota
from tailrace.limits import (
    BREAKER_QUERIES_MAX,
    BREAKER_S,
    BREAKER_TIMEOUTS,
    QUOTA_FLOW_BURST_S,
    QUOTA_NAMES_MAX,
)
from tailrace.sections import Redis


@pytest.fixture(autouse=True, scope="module", params=["one server", "one of several, and Redis is gone"])
def _kind(request):
    """All of this holds for a server that shares its quotas, too, while it cannot."""
    with pytest.MonkeyPatch.context() as patched:
        if request.param != "one server":
            patched.setitem(globals(), "Quota", alone)
        yield


def alone(each: Allowance | None = None, total: Allowance | None = None) -> SharedQuota:
    """Return the quotas of a server that has never found its Redis."""
    quota = SharedQuota(each, total, Books(Redis(url="redis://127.0.0.1:1"), "a"))
    quota.part(NoAnswer("nobody listens"))
    return quota


def anna(*, total: Allowance | None = None, **allowed: int) -> Account:
    return Quota(Allowance(**allowed), total).account("anna", 0)


def refusal(call) -> OverQuota:
    with pytest.raises(OverQuota) as caught:
        call()
    return caught.value


def test_a_tail_too_many_is_told_which_limit_how_much_is_used_and_when_to_come_back():
    account = anna(tails=2)
    account.open_tail(0)
    account.open_tail(0)
    over = refusal(lambda: account.open_tail(0))
    assert over.message == "2 of 2 tails of token 'anna' are open"
    assert (over.limit, over.used, over.allowed) == ("tails", 2, 2)
    assert over.retry_s >= 1
    account.close_tail()
    account.open_tail(0)


def test_a_refused_tail_is_not_counted():
    account = anna(tails=5, total=Allowance(tails=1))
    account.open_tail(0)
    for _ in range(9):
        assert refusal(lambda: account.open_tail(0)).limit == "tails_total"
    account.close_tail()
    account.open_tail(0)


def test_the_limits_of_one_token_are_not_those_of_another():
    quota = Quota(Allowance(tails=1))
    quota.account("anna", 0).open_tail(0)
    quota.account("bert", 0).open_tail(0)
    assert refusal(lambda: quota.account("anna", 0).open_tail(0)).limit == "tails"


def test_who_needs_no_token_is_held_only_to_what_all_together_may_have():
    quota = Quota(Allowance(tails=1, lines_per_s=1, bytes_per_s=1, search_s_per_min=1), Allowance(tails=3))
    nobody = quota.account("", 0)
    for _ in range(3):
        nobody.open_tail(0)
        assert nobody.charge(10**6, 10**9, 0) is None
        nobody.close_search("q", 999, timed_out=False, now_s=0)
        nobody.open_search("q", 0)
    assert refusal(lambda: nobody.open_tail(0)).limit == "tails_total"


@pytest.mark.parametrize(
    ("allowed", "limit"), [({"lines_per_s": 10}, "lines_per_s"), ({"bytes_per_s": 1000}, "bytes_per_s")]
)
def test_what_goes_beyond_a_rate_and_its_burst_is_refused(allowed, limit):
    account = anna(**allowed)
    for _ in range(int(10 * QUOTA_FLOW_BURST_S)):
        assert account.charge(1, 100, 7.0) is None
    over = account.charge(1, 100, 7.0)
    assert over is not None
    assert over.limit == limit
    assert "token 'anna'" in over.message
    assert account.charge(1, 100, 7.0 + over.retry_s) is None


def test_who_is_over_a_rate_cannot_open_a_tail_either():
    account = anna(lines_per_s=1)
    account.charge(100, 0, 0)
    over = refusal(lambda: account.open_tail(0))
    assert over.limit == "lines_per_s"
    account.open_tail(over.retry_s)


def test_all_together_may_be_sent_less_than_each():
    quota = Quota(Allowance(lines_per_s=100), Allowance(lines_per_s=10))
    assert quota.account("anna", 0).charge(50, 0, 0) is None
    over = quota.account("bert", 0).charge(1, 0, 0)
    assert over is not None
    assert over.limit == "lines_per_s_total"


def test_what_is_larger_than_all_that_is_allowed_gets_through_and_is_owed():
    account = anna(lines_per_s=1)
    assert account.charge(1000, 0, 0) is None
    assert account.charge(1, 0, 990) is not None
    assert account.charge(1, 0, 1000) is None


def test_a_search_is_charged_when_it_ends():
    account = anna(search_s_per_min=60)
    account.open_search("q", 0)
    account.close_search("q", 75, timed_out=False, now_s=75)
    over = refusal(lambda: account.open_search("another", 75))
    assert (over.limit, over.used, over.allowed) == ("search_s_per_min", 75, 60)
    account.open_search("another", 75 + over.retry_s)


def test_a_query_that_runs_out_of_its_time_too_often_is_shut_out_and_let_in_again():
    account = anna()
    for n in range(BREAKER_TIMEOUTS):
        account.open_search("slow", n)
        account.close_search("slow", 60, timed_out=True, now_s=n)
    over = refusal(lambda: account.open_search("slow", 10))
    assert over.limit == "breaker"
    assert over.retry_s == BREAKER_TIMEOUTS - 1 + BREAKER_S - 10
    account.open_search("quick", 10)
    account.open_search("slow", 10 + over.retry_s)
    account.close_search("slow", 60, timed_out=True, now_s=10 + over.retry_s)
    account.open_search("slow", 10 + over.retry_s)


def test_a_query_is_shut_out_only_for_the_token_that_asked_it():
    quota = Quota()
    for _ in range(BREAKER_TIMEOUTS):
        quota.account("anna", 0).close_search("slow", 60, timed_out=True, now_s=0)
    refusal(lambda: quota.account("anna", 0).open_search("slow", 0))
    quota.account("bert", 0).open_search("slow", 0)


def test_timeouts_that_lie_far_apart_shut_nothing_out():
    account = anna()
    for n in range(20):
        account.close_search("slow", 60, timed_out=True, now_s=n * BREAKER_S / 2)
        account.open_search("slow", n * BREAKER_S / 2)


def test_usage_says_how_much_of_each_limit_is_in_use():
    quota = Quota(Allowance(tails=9, lines_per_s=100), Allowance(tails=20))
    account = quota.account("anna", 0)
    account.open_tail(0)
    for second in range(20):
        account.charge(50, 0, second)
    used = {one.limit: (one.used, one.allowed) for one in quota.usage("anna", 20)}
    assert used["tails_total"] == (1, 20)
    assert used["tails"] == (1, 9)
    assert 25 <= used["lines_per_s"][0] <= 75
    assert quota.usage("bert", 20)[1].used == 0
    assert [one.limit for one in quota.usage("", 20)] == ["tails_total"]


def test_refusals_are_counted_by_limit():
    quota = Quota(Allowance(tails=1))
    account = quota.account("anna", 0)
    account.open_tail(0)
    for _ in range(3):
        refusal(lambda: account.open_tail(0))
    assert quota.refusals == {"tails": 3}


def test_names_are_forgotten_when_there_are_too_many_but_none_with_an_open_tail():
    quota = Quota(Allowance(tails=1))
    quota.account("anna", 0).open_tail(0)
    for n in range(QUOTA_NAMES_MAX * 2):
        quota.account(f"token {n}", n).charge(1, 1, n)
    assert quota.names == QUOTA_NAMES_MAX
    refusal(lambda: quota.account("anna", 0).open_tail(0))


def test_queries_are_forgotten_when_there_are_too_many():
    breaker = Breaker()
    for n in range(BREAKER_QUERIES_MAX * 2):
        breaker.timed_out(b"%d" % n, n)
    assert breaker.queries == BREAKER_QUERIES_MAX


Charges = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 400), st.booleans()), max_size=60)


@given(st.integers(1, 200), Charges)
def test_in_no_stretch_of_time_more_is_let_in_than_the_rate_and_its_burst_allow(rate, charges):
    """Each charge comes so many seconds after the one before; all of them are let in or refused, never split."""
    account = anna(lines_per_s=rate)
    now_s, taken = 0.0, []
    for wait_s, lines, _ in charges:
        now_s += wait_s
        if account.charge(lines, 0, now_s) is None:
            taken.append((now_s, lines))
    for first, (start_s, _) in enumerate(taken):
        total = 0
        for end_s, lines in taken[first:]:
            # The last charge of a stretch may go beyond: it is owed.
            assert total <= rate * (end_s - start_s + QUOTA_FLOW_BURST_S) + 1e-6
            total += lines


@given(st.integers(1, 200), Charges)
def test_who_comes_back_when_told_to_is_always_let_in(rate, charges):
    account = anna(lines_per_s=rate, bytes_per_s=rate * 100)
    now_s = 0.0
    for wait_s, lines, patient in charges:
        now_s += wait_s
        over = account.charge(lines, lines * 150, now_s)
        if over is not None and patient:
            now_s += over.retry_s
            assert account.charge(lines, lines * 150, now_s) is None
