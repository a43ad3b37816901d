"""What every bus promises, whatever it is made of."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tailrace.bus import Bus
from tailrace.bus.brokers import Brokers
from tailrace.bus.disk import DiskBus
from tailrace.bus.topic import KafkaBus
from tailrace.cursor import Cursor
from tailrace.errors import Closed, Gone, OriginTaken
from tailrace.pipeline.foreign import understand
from tests.batches import batch_of, messages_of
from tests.servers.kafka import Kafka

TIMEOUT_S = 20


@pytest.fixture(params=["disk", "kafka"])
def open_bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Bus]]:
    opened: list[Bus] = []
    make = _on_disk(tmp_path) if request.param == "disk" else _on_kafka(request.getfixturevalue("kafka"))

    def reopen() -> Bus:
        for bus in opened:
            bus.close()
        opened[:] = [make()]
        return opened[0]

    yield reopen
    for bus in opened:
        bus.close()


def _on_disk(directory: Path) -> Callable[[], Bus]:
    return lambda: DiskBus(directory / "bus")


def _on_kafka(kafka: Kafka) -> Callable[[], Bus]:
    topic = kafka.topic()
    return lambda: KafkaBus(Brokers(tuple(kafka.bootstrap.split(","))), topic, understand, only=0)


def put(bus: Bus, *messages: str, source: str = "", first: int = 0) -> Cursor:
    return bus.append(batch_of(messages, source=source, first=first)).result(TIMEOUT_S)


def test_what_was_appended_is_read_in_order(open_bus):
    bus = open_bus()
    put(bus, "a", "b")
    put(bus, "c")
    assert messages_of(bus.read(bus.first, 1 << 20)) == ["a", "b", "c"]


def test_every_column_comes_back_as_it_was(open_bus):
    bus = open_bus()
    batch = batch_of(["línea", "行", "\x00"], source="file:1", first=10)
    bus.append(batch).result(TIMEOUT_S)
    (again,) = bus.read(bus.first, 1 << 20)
    assert again.columns.to_pylist() == batch.columns.to_pylist()
    assert again.origins == batch.origins


def test_the_answer_to_an_append_is_the_position_behind_it(open_bus):
    bus = open_bus()
    assert put(bus, "a", "b") == bus.first + 2


def test_reading_can_begin_inside_a_batch(open_bus):
    bus = open_bus()
    put(bus, "a", "b", "c")
    (batch,) = bus.read(bus.first + 1, 1 << 20)
    assert (batch.first, messages_of([batch])) == (bus.first + 1, ["b", "c"])


def test_reading_at_the_end_gives_nothing(open_bus):
    bus = open_bus()
    assert bus.read(put(bus, "a"), 1 << 20) == []


def test_a_position_in_another_log_is_gone(open_bus):
    bus = open_bus()
    put(bus, "a")
    with pytest.raises(Gone):
        bus.read(Cursor(bus.epoch ^ 1, 0), 1 << 20)


def test_the_log_goes_on_where_it_was_after_a_restart(open_bus):
    before = open_bus()
    end = put(before, "a", "b", source="file:1")
    after = open_bus()
    assert after.next == end
    assert messages_of(after.read(after.first, 1 << 20)) == ["a", "b"]


def test_a_place_taken_before_adds_nothing(open_bus):
    bus = open_bus()
    put(bus, "a", "b", source="file:1")
    assert put(bus, "a", "b", source="file:1") == bus.next
    assert messages_of(bus.read(bus.first, 1 << 20)) == ["a", "b"]


def test_a_place_taken_before_adds_nothing_after_a_restart(open_bus):
    put(open_bus(), "a", source="push:k")
    bus = open_bus()
    put(bus, "a", source="push:k")
    assert bus.next == bus.first + 1


def test_a_place_taken_in_part_says_where_to_read_on(open_bus):
    bus = open_bus()
    put(bus, "a", "b", source="file:1")
    with pytest.raises(OriginTaken) as refused:
        put(bus, "b", "c", source="file:1", first=1)
    assert refused.value.next == 2


def test_the_ledger_knows_the_newest_place_and_its_note(open_bus):
    put(open_bus(), "a", "b", source="file:1")
    bus = open_bus()
    taken = bus.taken("file:1")
    assert taken is not None
    assert taken.next == 2
    assert [origin.source for origin in bus.sources("file:")] == ["file:1"]


def test_a_forgotten_source_is_new_again(open_bus):
    bus = open_bus()
    put(bus, "a", source="file:1")
    bus.forget("file:1")
    assert bus.taken("file:1") is None


def test_a_reader_that_waits_is_woken_by_an_append(open_bus):
    bus = open_bus()
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(bus.wait(bus.first, TIMEOUT_S)))
    waiter.start()
    put(bus, "a")
    waiter.join(TIMEOUT_S)
    assert answers == [True]


def test_waiting_ends_without_news_when_the_time_is_up(open_bus):
    bus = open_bus()
    assert bus.wait(bus.next, 0.01) is False


def test_a_commit_is_told_until_the_call_is_taken_back(open_bus):
    bus = open_bus()
    told = threading.Semaphore(0)
    take_back = bus.on_commit(told.release)
    put(bus, "a")
    assert told.acquire(timeout=TIMEOUT_S)
    take_back()
    put(bus, "b")
    assert not told.acquire(blocking=False)


def test_many_threads_append_and_every_record_is_there_once(open_bus):
    bus = open_bus()

    def write(name: int) -> None:
        for number in range(50):
            put(bus, f"{name}-{number}", source=f"file:{name}", first=number)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    found = messages_of(bus.read(bus.first, 1 << 30))
    assert sorted(found) == sorted(f"{name}-{number}" for name in range(8) for number in range(50))
    for name in range(8):
        assert [m for m in found if m.startswith(f"{name}-")] == [f"{name}-{number}" for number in range(50)]


def test_a_closed_bus_refuses(open_bus):
    bus = open_bus()
    bus.close()
    with pytest.raises(Closed):
        bus.append(batch_of(["a"]))
