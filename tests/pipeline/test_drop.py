"""Records that nobody wants are left out, counted, and not read again."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.batches import batch_of, messages_of

from tailrace.bus.disk import DiskBus
from tailrace.errors import ConfigError, OriginTaken
from tailrace.lines import Lines, Sample, Steps
from tailrace.pipeline import Pipeline
from tailrace.pipeline.drop import condition, dropped
from tailrace.record import Origin, Stream

TIMEOUT_S = 20


def test_what_the_filter_means_is_left_out_and_counted():
    counts = Counter()
    batch = dropped(batch_of(["ping", "order", "ping"], source="file:1"), "ping", counts)
    assert (messages_of([batch]), counts) == (["order"], {"ping": 2})


def test_the_origin_still_covers_what_was_dropped():
    batch = dropped(batch_of(["ping", "order"], source="file:1"), "ping", Counter())
    assert batch.origins == (Origin("file:1", 0, 2, 1),)


def test_a_batch_may_become_empty():
    batch = dropped(batch_of(["ping"], source="file:1"), "ping", Counter())
    assert (len(batch), batch.origins[0].next) == (0, 1)


@pytest.mark.parametrize("text", ["", "a | limit 5", "time:5m", "time:>now-1h", "level:loud"])
def test_a_filter_that_cannot_be_is_explained(text):
    with pytest.raises(ConfigError):
        condition(text, "drop")


def test_whole_times_may_be_dropped_by():
    assert condition("time:<2020-01-01", "drop")


def lines_of(first, last, steps):
    raw = [f"2026-01-02 03:04:05 {'DEBUG' if n % 3 else 'INFO'} line {n}".encode() for n in range(first, last)]
    origin = Origin("file:1-2-3", first, last, last - first)
    stream = Stream.of({"path": "/var/log/shop/app.log"})
    return Lines(pa.array(raw, pa.binary()), np.arange(first, last), stream, 1, origin, steps)


def test_a_bus_that_starts_again_has_what_was_kept_once_and_nothing_is_lost(tmp_path):
    steps = Steps(drop="level:debug", sample=Sample("line", 3))
    whole = Pipeline().process(lines_of(0, 200, steps))
    bus = DiskBus(tmp_path / "bus")
    for first in range(0, 100, 20):
        bus.append(Pipeline().process(lines_of(first, first + 20, steps))).result(TIMEOUT_S)
    bus.close()
    bus = DiskBus(tmp_path / "bus")
    try:
        bus.append(Pipeline().process(lines_of(80, 100, steps))).result(TIMEOUT_S)  # the answer was lost: taken before
        with pytest.raises(OriginTaken):
            bus.append(Pipeline().process(lines_of(90, 110, steps))).result(TIMEOUT_S)
        taken = next(origin for origin in bus.sources("file:") if origin.source == "file:1-2-3").next
        bus.append(Pipeline().process(lines_of(taken, 200, steps))).result(TIMEOUT_S)
        assert messages_of(bus.read(bus.first, 1 << 20)) == messages_of([whole])
    finally:
        bus.close()


def test_lines_keep_their_places_when_others_are_dropped():
    lines = lines_of(0, 7, Steps(drop="level:debug"))
    assert Pipeline().process(lines).array("position").to_pylist() == [0, 3, 6]
    assert len(Pipeline().process(replace(lines, steps=Steps()))) == 7
