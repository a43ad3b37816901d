"""Count and digest, by the formula of the contract."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.cli.tally import Digest, Sampled, Tally, differs

records = st.lists(
    st.builds(lambda n, text: {"cursor": f"7f-{n}", "message": text}, st.integers(0, 10**18), st.text()), max_size=20
)


def of(*several):
    digest = Digest()
    for one in several:
        digest.add(one)
    return digest.count, str(digest)


def test_the_digest_is_the_formula():
    n, c = 1042, zlib.crc32("payment failed 上".encode())
    h = (n * 0x9E3779B97F4A7C15 + c * 0xC2B2AE3D27D4EB4F) % 2**64
    assert of([{"cursor": "7f-1042", "message": "payment failed 上"}]) == (1, f"{h ^ h >> 32:016x}")


def test_a_record_without_a_message_counts_with_zero():
    h = 5 * 0x9E3779B97F4A7C15 % 2**64
    assert of([{"cursor": "7f-5"}]) == (1, f"{h ^ h >> 32:016x}")


@given(records, st.integers(0, 20))
def test_the_digest_does_not_know_about_order_and_frames(some, cut):
    assert of(some) == of(list(reversed(some))) == of(some[:cut], some[cut:])


def test_a_gap_stands_for_its_records():
    some = [{"cursor": f"7f-{n}", "message": str(n)} for n in range(9)]
    count, digest = of(some[4:7])
    whole = Digest()
    whole.add([*some[:4], *some[7:]])
    whole.add_gap({"count": count, "digest": digest})
    assert (whole.count, str(whole)) == of(some)


def test_context_does_not_count():
    assert of([{"cursor": "7f-1", "message": "a", "context": True}]) == (0, "0" * 16)


def ping(count, digest, start="7f-0"):
    return {"from": start, "sent": count, "digest": digest, "checkpoint": "7f-9"}


def test_a_ping_that_says_something_else_is_told_apart():
    tally = Tally()
    assert tally.ping(ping(0, "0" * 16)) == ""
    tally.rows([{"cursor": "7f-1", "message": "a"}])
    assert tally.ping(ping(*of([{"cursor": "7f-1", "message": "a"}]))) == ""
    assert "2 records" in tally.ping(ping(2, "1" * 16))


def test_each_connection_is_compared_for_itself_and_all_of_them_together():
    tally = Tally()
    tally.ping(ping(0, "0" * 16))
    tally.rows([{"cursor": "7f-1", "message": "a"}])
    tally.connected()
    assert tally.ping(ping(0, "0" * 16, start="7f-2")) == ""
    tally.rows([{"cursor": "7f-2", "message": "b"}])
    assert (tally.start, tally.all.count) == ("7f-0", 2)


def test_behind_a_new_log_counting_begins_anew():
    tally = Tally()
    tally.ping(ping(0, "0" * 16))
    tally.rows([{"cursor": "7f-1", "message": "a"}])
    tally.gap({"why": "reset", "from": "7f-2", "to": "8a-0", "count": None})
    assert (tally.start, tally.all.count) == ("8a-0", 0)


@pytest.mark.parametrize(
    ("theirs", "ours", "same"), [((1, "a"), (1, "a"), True), ((1, "a"), (1, "b"), False), ((2, "a"), (1, "a"), False)]
)
def test_a_difference_in_count_or_digest_is_one(theirs, ours, same):
    assert (differs("x", theirs, ours) == "") is same


def test_what_sampling_leaves_out_is_added_up_until_it_is_told():
    sampled = Sampled()
    assert sampled.take() == {}
    sampled.add({"from": "7f-1", "to": "7f-5", "count": 3, "why": "sampled", "levels": {"info": 3}})
    sampled.add({"from": "7f-6", "to": "7f-9", "count": 2, "why": "sampled", "levels": {"info": 1, "debug": 1}})
    levels = {"info": 4, "debug": 1}
    assert sampled.take() == {"from": "7f-1", "to": "7f-9", "count": 5, "why": "sampled", "levels": levels}
    assert sampled.take() == {}


def test_a_sampled_tail_is_compared_where_everything_left_out_was_declared():
    tally, left_out = Tally(), of([{"cursor": "7f-2", "message": "b"}])
    tally.ping(ping(0, "0" * 16))
    tally.rows([{"cursor": "7f-1", "message": "a"}])
    tally.gap({"why": "sampled", "from": "7f-0", "to": "7f-3", "count": 1, "digest": left_out[1]})
    tally.rows([{"cursor": "7f-4", "message": "c"}])
    both = of([{"cursor": "7f-1", "message": "a"}], [{"cursor": "7f-2", "message": "b"}])
    assert tally.settled == (*both, "7f-3")
