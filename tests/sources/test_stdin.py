"""stdin: a pipe to its end."""

import os

import pytest

from tailrace.bus.disk import DiskBus
from tailrace.limits import LINE_BYTES_MAX
from tailrace.pipeline import Pipeline
from tailrace.sources.stdin import Stdin
from tests.apps.programs import until


@pytest.fixture
def bus(tmp_path):
    made = DiskBus(tmp_path / "bus")
    yield made
    made.close()


@pytest.fixture
def pipe(bus):
    reading, writing = os.pipe()
    source = Stdin(bus, pipeline=Pipeline(), host="h", fd=reading)
    source.start()
    with open(writing, "wb", buffering=0) as writer:
        yield writer, source
    source.stop()
    os.close(reading)


def messages(bus):
    return [record.message for batch in bus.read(bus.first, 1 << 30) for record in batch.records()]


def test_lines_are_there_as_they_are_written(bus, pipe):
    writer, source = pipe
    writer.write(b"one\ntwo\nthr")
    until(lambda: bus.next.offset == 2)
    assert (messages(bus), source.status().state) == (["one", "two"], "reading")


def test_the_last_line_needs_no_newline(bus, pipe):
    writer, source = pipe
    writer.write(b"one\nlast")
    writer.close()
    until(lambda: source.status().state == "ended")
    assert (messages(bus), source.status().lines) == (["one", "last"], 2)


def test_a_line_without_end_is_cut(bus, pipe):
    writer, source = pipe
    for _ in range(LINE_BYTES_MAX // (1 << 20) + 1):
        writer.write(b"x" * (1 << 20))
    writer.close()
    until(lambda: source.status().state == "ended")
    assert sum(map(len, messages(bus))) == LINE_BYTES_MAX + (1 << 20)
    assert bus.next.offset == 2
