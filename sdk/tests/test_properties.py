"""Whatever is logged, whatever a disk or a sink does: lines are whole, counts are exact, secrets stay secret."""

import errno
import json
import os
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest

from tailrace_sdk import AsyncLogWriter
from tailrace_sdk.encode import Encoder
from tailrace_sdk.mask import is_secret
from tailrace_sdk.sink import Partly

pytest.importorskip("hypothesis")
from hypothesis import given, settings
from hypothesis import strategies as st

SECRET = "s3cr3t-value"
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.binary(max_size=20), st.text(st.characters(), max_size=20)
)
keys = st.one_of(
    st.text(st.characters(), max_size=10), st.integers(), st.none(), st.sampled_from(["level", "time", "message"])
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.tuples(inner, inner),
        st.fixed_dictionaries({"api_key": st.just(SECRET), "x": inner}),
    ),
    max_leaves=15,
)
records = st.dictionaries(keys, values, max_size=6)


def strict(line):
    return json.loads(line, parse_constant=pytest.fail)


@given(st.lists(records, max_size=5), st.dictionaries(st.text(max_size=5), scalars, max_size=3))
@settings(deadline=None, max_examples=300)
def test_every_record_is_a_line_of_strict_json_without_its_secrets(given_records, fields):
    encoder = Encoder(fields)
    data, count = encoder.encode([(0, dict(record, Password=SECRET), None) for record in given_records])
    lines = data.split(b"\n")[:-1]
    assert len(lines) == count == len(given_records)
    assert encoder.broken == 0
    assert SECRET.encode() not in data
    for line in lines:
        assert strict(line)["Password"] == "***"


@given(
    st.dictionaries(
        st.text(max_size=10).filter(lambda key: key != "level"), st.one_of(st.integers(), st.text()), max_size=6
    )
)
@settings(deadline=None)
def test_plain_records_come_back_as_they_were(record):
    wanted = {key: value for key, value in record.items() if not is_secret(key)}
    data, _ = Encoder().encode([(0, dict(wanted), None)])
    found = strict(data)
    if not {"time", "timestamp", "@timestamp", "ts"} & set(wanted):
        assert found.pop("time") == "1970-01-01T00:00:00.000000000Z"
    assert found == wanted


def whole(place):
    """Return the numbers in the file of a directory, whose lines must be whole."""
    found = []
    for path in Path(place).glob("*.jsonl"):
        data = path.read_bytes()
        assert data[-1:] in (b"", b"\n")
        found += [one["n"] for one in map(json.loads, data.splitlines()) if "n" in one]
    return found


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=30), st.integers(1, 30))
@settings(deadline=None, max_examples=60)
def test_a_disk_that_takes_any_part_of_any_write_leaves_whole_lines_that_are_counted(faults, batch):
    real = os.write
    left = list(faults)

    def write(fd, data):
        fault = left.pop(0) if left else None
        if fault is None:
            return real(fd, data)
        if taken := real(fd, data[: int(len(data) * fault)]):
            left.insert(0, 0.0)  # a disk that is full takes nothing more
            return taken
        raise OSError(errno.ENOSPC, "No space left on device")

    with tempfile.TemporaryDirectory() as place, patch("tailrace_sdk.files.os.write", write):
        with AsyncLogWriter(place, retry_interval=0, max_retries=2, batch_size=batch) as writer:
            writer.log_many({"n": number} for number in range(100))
            assert writer.flush()
            stats = writer.get_stats()
        found = whole(place)
    assert stats["written"] + stats["errors"] == 100
    assert found == sorted(set(found))
    assert len(found) == stats["written"]


class Odd:
    """A sink that takes of each write what it is told to."""

    kind = "odd"

    def __init__(self, outcomes):
        self.outcomes = list(outcomes)
        self.data = b""

    def write(self, data, count):
        assert data.count(b"\n") == count
        outcome = self.outcomes.pop(0) if self.outcomes else 1.0
        taken = data.rfind(b"\n", 0, int(len(data) * outcome)) + 1 if outcome < 1 else len(data)
        self.data += data[:taken]
        if taken < len(data):
            error = OSError(errno.EIO, "odd")
            raise Partly(taken, error) if taken else error

    def tick(self):
        pass

    def flush(self, timeout):
        return timeout >= 0

    def close(self, timeout):
        pass

    def after_fork(self):
        pass

    def get_stats(self):
        return {}

    def numbers(self):
        return [one["n"] for one in map(json.loads, self.data.splitlines()) if "n" in one]


@given(st.lists(st.lists(st.floats(0, 1), max_size=20), min_size=1, max_size=3), st.integers(1, 40))
@settings(deadline=None, max_examples=60)
def test_sinks_that_take_any_part_get_what_is_counted_once_and_in_order(outcomes, batch):
    sinks = list(map(Odd, outcomes))
    with AsyncLogWriter(sinks=sinks, retry_interval=0, max_retries=1, batch_size=batch) as writer:
        writer.log_many({"n": number} for number in range(100))
        assert writer.flush()
        stats = writer.get_stats()
    assert stats["enqueued"] == stats["written"] + stats["errors"] == 100
    for sink, said in zip(sinks, stats["sinks"]):
        assert sink.numbers() == sorted(set(sink.numbers()))
        assert len(sink.numbers()) == said["written"] == 100 - said["dropped"]
    assert stats["written"] <= min(len(sink.numbers()) for sink in sinks)
