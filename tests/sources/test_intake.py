"""intake: what cannot be asked for again waits for room."""

import threading

import pytest

from tailrace.bus.disk import DiskBus
from tailrace.errors import Busy, DiskFull
from tailrace.limits import BATCH_ROWS_MAX
from tailrace.record import Batch, Stream
from tailrace.sources.intake import Intake


def batch(rows):
    return Batch.of(
        time=[1] * rows,
        observed=[1] * rows,
        level=[0] * rows,
        stream=Stream.of({}),
        message=list(map(str, range(rows))),
    )


@pytest.fixture
def bus(tmp_path):
    made = DiskBus(tmp_path / "bus")
    yield made
    made.close()


class Refusing:
    """A bus without room, a few times."""

    def __init__(self, bus, errors):
        self._bus, self._errors = bus, errors

    def append(self, given):
        if self._errors:
            raise self._errors.pop()
        return self._bus.append(given)


def test_a_batch_is_on_disk_when_append_returns(bus):
    assert Intake(bus).append(batch(3))
    assert bus.next.offset == 3


def test_a_large_batch_goes_in_pieces_that_the_bus_takes(bus):
    intake = Intake(bus)
    assert intake.append(batch(BATCH_ROWS_MAX + 1))
    assert (bus.next.offset, intake.lines) == (BATCH_ROWS_MAX + 1, BATCH_ROWS_MAX + 1)


def test_a_batch_is_offered_again_until_there_is_room(bus):
    intake = Intake(Refusing(bus, [Busy("later", retry_s=0.001), DiskFull("no room")]))
    assert intake.append(batch(2))
    assert (bus.next.offset, intake.error) == (2, "")


def test_stopping_ends_the_wait(bus):
    intake = Intake(Refusing(bus, [DiskFull("no room")] * 1000))
    waiting = threading.Thread(target=intake.append, args=[batch(1)])
    waiting.start()
    intake.stop()
    waiting.join(5)
    assert not waiting.is_alive()


def test_a_closed_bus_takes_nothing(bus):
    bus.close()
    assert not Intake(bus).append(batch(1))
