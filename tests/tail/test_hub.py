"""The hub over a real bus: sharing, joining, falling behind, stopping."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tailrace.access.quota import Allowance, Quota
from tailrace.bus.disk import DiskBus
from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import Closed, OverQuota
from tailrace.query import parse, together
from tailrace.record import Batch, Stream
from tailrace.tail import hub as hub_module
from tailrace.tail import subscription as subscription_module
from tailrace.tail.hub import Hub
from tailrace.tail.sse import encode
from tailrace.tail.start import After, Last, Now, Since
from tailrace.tail.subscription import State
from tailrace.tail.view import View
from tailrace.tally import digest
from tests.tail.watching import Client, ListHistory, watch


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[tuple[Hub, ListHistory]]:
    bus = DiskBus(path / "bus")
    history = ListHistory(bus)
    hub = Hub(bus, history)
    hub.start()
    try:
        yield hub, history
    finally:
        await hub.close()
        bus.close()


Script = Callable[[Hub, ListHistory], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Script], None]:
    """Run a script on a hub over a bus of its own."""

    async def run(script: Script) -> None:
        async with running(tmp_path) as (hub, history):
            await script(hub, history)

    return lambda script: asyncio.run(run(script))


def test_a_tail_from_now_sees_what_comes_and_nothing_before(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        history.append("before")
        client = watch(hub, parse("*", 0), Now())
        assert client.viewer.subscription.state is State.LIVE
        history.append("one", "two")
        await client.until_now()
        assert client.offsets == [1, 2]

    play(script)


def test_only_matches_are_sent(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        client = watch(hub, parse("error", 0), Now())
        history.append("fine", "an error", "fine")
        history.append("fine")
        await client.until_now()
        assert client.offsets == [1]
        assert client.viewer.checkpoint == Checkpoint((history.at(4),))

    play(script)


def test_a_tail_after_a_checkpoint_goes_on_exactly_there(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        for number in range(20):
            history.append(f"line {number}")
        client = watch(hub, parse("*", 0), After(Checkpoint((history.at(7),))))
        history.append("live")
        await client.until_now()
        assert client.offsets == list(range(7, 21))

    play(script)


def test_a_tail_of_the_last_matches_begins_with_them(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        history.append(*["error", "fine"] * 10)
        client = watch(hub, parse("error", 0), Last(3))
        history.append("error live")
        await client.until_now()
        assert client.offsets == [14, 16, 18, 20]

    play(script)


def test_a_tail_of_more_matches_than_there_are_begins_with_the_oldest(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        history.append("error", "fine", "error")
        client = watch(hub, parse("error", 0), Last(9))
        await client.until_now()
        assert client.offsets == [0, 2]

    play(script)


def test_since_bounds_history_by_time_and_lets_late_lines_through_live(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        history.append("old", time=100)
        history.append("new", time=900)
        history.append("late in history", time=200)
        client = watch(hub, parse("*", 0), Since(500))
        await client.until_now()
        history.append("late and live", time=300)
        await client.until_now()
        assert client.offsets == [1, 3]

    play(script)


def test_what_retention_removed_is_a_gap(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        history.append(*["line"] * 10)
        history.first = 6
        history.bus._first = 6
        history.bus._ring.clear()
        client = watch(hub, parse("*", 0), After(Checkpoint((history.at(2),))))
        await client.until_now()
        assert client.gaps == [{"from": str(history.at(2)), "to": str(history.at(6)), "count": 4, "why": "expired"}]
        assert client.offsets == [6, 7, 8, 9]

    play(script)


def test_a_checkpoint_of_another_log_is_a_reset(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        history.append("a", "b")
        client = watch(hub, parse("*", 0), After(Checkpoint((Cursor(1, 50),))))
        await client.until_now()
        assert [gap["why"] for gap in client.gaps] == ["reset"]
        assert client.offsets == [0, 1]

    play(script)


def test_one_query_is_evaluated_once_and_its_bytes_are_shared(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        clients = [watch(hub, parse("error", 0), Now()) for _ in range(5)]
        history.append("error")
        async with asyncio.timeout(20):
            while not all(client.viewer.subscription.queued_bytes for client in clients):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        taken = [client.viewer.take() for client in clients]
        assert all(data is taken[0] for data in taken)
        stats = hub.stats()
        assert (stats.viewers, stats.queries, stats.rows_published, stats.rows_delivered) == (5, 1, 1, 5)

    play(script)


def test_each_of_many_distinct_queries_gets_its_own_lines(play, monkeypatch) -> None:
    monkeypatch.setattr(together, "TOGETHER_ROWS", 7)
    words = [f"word{number}" for number in range(30)]

    async def script(hub: Hub, history: ListHistory) -> None:
        queries = [parse(text, 0) for text in [*words, *(f"{word} | fields message" for word in words)]]
        clients = [watch(hub, query, Now()) for query in queries]
        for turn in range(4):
            history.append(*(f"{word} {turn}" for word in [*words[turn:], "nothing"]))
            await asyncio.gather(*(client.until_now() for client in clients))
        for query, client in zip(queries, clients, strict=True):
            assert client.offsets == history.expected(query, 0, history.bus.next.offset)

    play(script)


def test_a_client_that_does_not_read_is_detached_and_misses_nothing(play, monkeypatch) -> None:
    monkeypatch.setattr(subscription_module, "TAIL_QUEUE_BYTES_MAX", 2_000)

    async def script(hub: Hub, history: ListHistory) -> None:
        slow, fast = watch(hub, parse("*", 0), Now()), watch(hub, parse("*", 0), Now())
        for number in range(60):
            history.append(f"line {number}")
            await fast.until_now()
        assert slow.viewer.subscription.state is State.BEHIND
        assert slow.viewer.subscription.queued_bytes < 2_500
        assert fast.offsets == list(range(60))
        await slow.until_now()
        assert slow.offsets == list(range(60))
        assert slow.gaps == []

    play(script)


def test_a_queue_that_fills_while_the_tail_joins_is_read_on(play, monkeypatch) -> None:
    monkeypatch.setattr(subscription_module, "TAIL_QUEUE_BYTES_MAX", 1_000)
    monkeypatch.setattr(hub_module, "TAIL_CATCH_UP_ROWS", 1_000)

    async def script(hub: Hub, history: ListHistory) -> None:
        for number in range(50):
            history.append(f"line {number}", "x" * 900)
        monkeypatch.setattr("tailrace.tail.catchup.TAIL_CATCH_UP_BYTES", 1)
        client = watch(hub, parse("*", 0), After(Checkpoint((history.at(0),))))
        async with asyncio.timeout(20):
            while client.viewer.subscription.reading:  # noqa: ASYNC110
                await asyncio.sleep(0)
        await client.until_now()
        assert client.offsets == list(range(100))

    play(script)


def test_a_tail_that_attaches_during_a_round_begins_at_its_end(play, monkeypatch) -> None:
    monkeypatch.setattr(hub_module, "TAIL_INLINE_ROWS", 0)

    async def script(hub: Hub, history: ListHistory) -> None:
        first = watch(hub, parse("*", 0), Now())
        history.append("one", "two")
        async with asyncio.timeout(20):
            while hub._head.offset == 0:  # noqa: ASYNC110
                await asyncio.sleep(0)
        second = watch(hub, parse("*", 0), Now())
        await first.until_now()
        await second.until_now()
        assert (first.offsets, second.offsets) == ([0, 1], [])

    play(script)


def test_a_position_ahead_of_the_hub_is_waited_for(play, monkeypatch) -> None:
    monkeypatch.setattr(hub_module, "COALESCE_REST", 1e9)

    async def script(hub: Hub, history: ListHistory) -> None:
        first = watch(hub, parse("*", 0), Now())
        history.append("one")
        await first.until_now()
        end = history.append("two")  # The hub rests now, and has not seen this.
        ahead = watch(hub, parse("*", 0), After(Checkpoint((end,))))
        history.append("three")
        await ahead.until_now()
        assert ahead.offsets == [2]

    play(script)


def test_a_large_burst_comes_in_several_frames(play, monkeypatch) -> None:
    monkeypatch.setattr("tailrace.tail.evaluate.TAIL_FRAME_BYTES_MAX", 10_000)

    async def script(hub: Hub, history: ListHistory) -> None:
        client = watch(hub, parse("*", 0), Now())
        history.append(*[f"line {number}" for number in range(5_000)])
        await client.until_now()
        assert client.offsets == list(range(5_000))
        assert client.events.count("rows") > 50

    play(script)


def test_a_tail_more_than_the_account_has_is_refused_until_one_is_closed(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        account = Quota(Allowance(tails=1)).account("anna", 0)
        first = hub.open(View(parse("*", 0)), Now(), encode, account=account)
        with pytest.raises(OverQuota):
            hub.open(View(parse("*", 0)), Now(), encode, account=account)
        first.close()
        first.close()
        hub.open(View(parse("*", 0)), Now(), encode, account=account)

    play(script)


@pytest.mark.parametrize("start", [Now(), Since(0)])
def test_a_tail_that_is_sent_too_much_ends_and_goes_on_from_its_checkpoint(play, start) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        account = Quota(Allowance(lines_per_s=1)).account("anna", 0)
        if start != Now():
            for n in range(20):
                history.append(f"line {n}")
        client = Client(hub.open(View(parse("*", 0)), start, encode, account=account))
        while client.ended is None:
            end = history.append("one more")
            await client.until(lambda end=end: client.ended is not None or str(end) == client.last_id)
        assert "token 'anna'" in client.ended
        first = client.offsets[0]
        assert len(client.offsets) < history.bus.next.offset - first
        client.viewer.close()
        rest = watch(hub, parse("*", 0), After(Checkpoint.parse(client.last_id)))
        await rest.until_now()
        assert client.offsets + rest.offsets == list(range(first, history.bus.next.offset))

    play(script)


def test_without_tails_the_bus_is_not_read(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        client = watch(hub, parse("*", 0), Now())
        client.viewer.close()
        history.append("unseen")
        client = watch(hub, parse("*", 0), Now())
        history.append("seen")
        await client.until_now()
        assert client.offsets == [1]
        assert hub.stats().rows_published == 1

    play(script)


def test_a_fault_of_the_program_ends_all_tails_loudly(play, monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault of the program")

    async def script(hub: Hub, history: ListHistory) -> None:
        said: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(str(context["exception"])))
        client = watch(hub, parse("*", 0), Now())
        monkeypatch.setattr(hub_module, "evaluate_groups", broken)
        history.append("one")
        await client.until(lambda: client.ended is not None)
        await client.until(lambda: bool(said))
        assert said == ["a fault of the program"]
        with pytest.raises(Closed, match="any more"):
            watch(hub, parse("*", 0), Now())

    play(script)


def test_closing_sends_everyone_the_end_with_the_position(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        client = watch(hub, parse("nothing", 0), Now())
        end = history.append("a line")
        await client.until_now()
        await hub.close()
        client.take_all()
        assert client.ended is not None
        assert client.last_id == str(end)

    play(script)


def test_a_tail_that_is_too_far_behind_skips_and_says_what_it_skipped(play, monkeypatch) -> None:
    monkeypatch.setattr(subscription_module, "TAIL_QUEUE_BYTES_MAX", 2_000)
    monkeypatch.setattr(hub_module, "TAIL_CATCH_UP_ROWS", 4)

    async def script(hub: Hub, history: ListHistory) -> None:
        slow = Client(hub.open(View(parse("apple", 0)), Now(), encode, behind_max=20))
        fast = watch(hub, parse("apple", 0), Now())
        for number in range(60):
            history.append(f"apple {number}", "pear")
            await fast.until_now()
        await slow.until_now()
        history.append("apple again")
        await slow.until_now()
        (gap,) = slow.gaps
        first, stop = (Cursor.parse(gap[name]).offset for name in ("from", "to"))
        wanted = history.expected(parse("apple", 0), 0, 121)
        assert slow.offsets == [offset for offset in wanted if not first <= offset < stop]
        assert (gap["why"], gap["count"]) == ("slow", len(wanted) - len(slow.offsets))
        assert gap["levels"] == {"info": gap["count"]}

    play(script)


def test_a_tail_that_begins_in_the_past_skips_nothing(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        history.append(*["line"] * 100)
        client = Client(hub.open(View(parse("*", 0)), After(Checkpoint((history.at(0),))), encode, behind_max=5))
        await client.until_now()
        assert (client.gaps, len(client.offsets)) == ([], 100)

    play(script)


def test_the_pings_of_a_tail_count_exactly_what_it_was_sent(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        history.append("apple 1", "pear", "apple 2")
        client = watch(hub, parse("apple", 0), After(Checkpoint((history.at(0),))))
        history.append("apple 3", "苹果 apple", "plum")
        await client.until_now()
        client.viewer.ping()
        client.take_all()
        sent = [batch.filter(parse("apple", 0).filter.matches(batch)) for batch in history.batches]
        total = sum(parse("*", 0).tally(batch) for batch in sent)
        assert (client.ping["sent"], client.ping["digest"]) == (4, digest(total))

    play(script)


def test_tails_of_one_query_miss_nothing_when_the_hub_loses_its_place(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        clients = [watch(hub, parse("*", 0), Now()) for _ in range(3)]
        history.append("one")
        for client in clients:
            await client.until_now()
        history.append("while it was lost")
        hub._lose_place()
        history.append("two")
        for client in clients:
            await client.until_now()
            assert client.offsets == [0, 1, 2]

    play(script)


def test_a_hub_that_lost_its_place_lets_each_tail_find_what_it_missed(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        client = watch(hub, parse("*", 0), Now())
        history.append("one")
        await client.until_now()
        hub._lose_place()
        history.append("two")
        await client.until_now()
        assert client.offsets == [0, 1]

    play(script)


def arrivals(levels: list[int], observed: list[int]) -> Batch:
    """Records of these levels, that arrived then."""
    return Batch.of(
        time=observed,
        observed=observed,
        level=levels,
        stream=Stream.of({"service": "shop"}),
        message=[f"order {row} failed" if level == 5 else f"order {row} done" for row, level in enumerate(levels)],
    )


def test_of_fifty_thousand_lines_a_second_every_error_is_shown_and_the_rest_is_declared(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        query = parse("*", 0)
        client = Client(hub.open(View(query, rate_max=100), Now(), encode))
        errors: list[int] = []
        for tenth in range(20):
            levels = [3] * 5_000
            for row in range(tenth % 7, 5_000, 1_600):
                levels[row] = 5
                errors.append(5_000 * tenth + row)
            history.put(arrivals(levels, [tenth * 100_000_000 + row * 20_000 for row in range(5_000)]))
            client.take_all()
        await client.until_now()
        client.viewer.ping()
        client.take_all()
        assert set(errors) <= set(client.offsets)
        assert len(client.offsets) <= 2 * (100 + 5) + len(errors)
        assert sum(gap["count"] for gap in client.gaps) + len(client.offsets) == client.ping["matched"] == 100_000
        total = int(client.ping["digest"], 16) + sum(int(gap["digest"], 16) for gap in client.gaps)
        found = sum(query.tally(batch) for batch in history.batches)
        assert f"{total % 2**64:016x}" == digest(found)

    play(script)


def test_catching_up_is_sampled_as_being_there_is(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        for second in range(5):
            history.put(arrivals([3] * 3_000, [second * 1_000_000_000 + row * 300_000 for row in range(3_000)]))
        client = Client(hub.open(View(parse("*", 0), rate_max=50), After(Checkpoint((history.at(0),))), encode))
        await client.until_now()
        client.viewer.ping()
        client.take_all()
        shown = [sum(offset // 3_000 == second for offset in client.offsets) for second in range(5)]
        assert all(50 <= count <= 55 for count in shown)
        assert sum(gap["count"] for gap in client.gaps) + len(client.offsets) == 15_000

    play(script)


def test_context_of_a_tail_from_now_reaches_back_before_it(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        history.append("a", "apple", "b", "c")
        client = watch(hub, View(parse("apple", 0), context=2), Now())
        history.append("d", "apple")
        await client.until_now()
        assert client.offsets == [4, 5]
        assert client.viewer.subscription.sent == client.viewer.subscription.matched

    play(script)


def test_a_round_of_which_nothing_is_shown_is_declared_too(play) -> None:
    async def script(hub: Hub, history: ListHistory) -> None:
        client = Client(hub.open(View(parse("*", 0), rate_max=1, counts=True), Now(), encode))
        for _ in range(5):
            history.put(arrivals([3] * 20, [0] * 20))
            await client.until_now()
        client.viewer.ping()
        client.take_all()
        assert len(client.offsets) == 2
        assert (client.ping["matched"], sum(gap["count"] for gap in client.gaps)) == (100, 98)
        assert sum(counts["levels"]["info"] for counts in client.counts) == 100

    play(script)
