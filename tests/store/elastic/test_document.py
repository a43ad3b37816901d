"""Documents: what the cluster is given of a batch, where, and how it becomes a batch again."""

import base64
import hashlib

import numpy as np
import orjson
import pytest
from hypothesis import given

from tailrace.limits import DAY_NS
from tailrace.store.elastic import document
from tests.query.records import batch
from tests.query.strategies import NOW_NS, batch_of, random_records

EPOCH = 0xFEDC_BA98_7654_3210


@given(random_records())
def test_a_document_holds_all_of_its_record(records):
    placed = batch_of(records).placed(EPOCH, 7)
    sources = [orjson.loads(text) for text in document.documents(placed).to_pylist()]
    again, epochs = document.batch_of(sources)
    assert again.columns.to_pylist() == placed.columns.to_pylist()
    assert epochs.tolist() == [EPOCH] * len(placed)
    assert again.offsets.tolist() == placed.offsets.tolist()


def test_a_document_has_the_names_of_elastics_schema():
    one = batch([{"time_ns": NOW_NS + 5, "level": 5, "message": 'a "b"\n', "trace_id": "t", "fields": {"n": 1},
                  "labels": {"service": "shop", "host": "web", "path": "/l", "zone": "eu"}}]).placed(1, 2)  # fmt: skip
    found = orjson.loads(document.documents(one)[0].as_py())
    inner = found.pop("tailrace")
    assert found == {
        "@timestamp": "2025-11-21T08:00:00.000000005Z",
        "event.created": "2025-11-21T08:00:00.000000000Z",
        "log.level": "error",
        "message": 'a "b"\n',
        "service.name": "shop",
        "host.name": "web",
        "log.file.path": "/l",
        "labels": {"zone": "eu"},
        "trace.id": "t",
        "fields": {"n": 1},
    }
    assert (inner["time"], inner["epoch"], inner["offset"]) == (NOW_NS + 5, "0000000000000001", 2)
    assert inner["words"].split() == ["a", "b"]


def test_an_id_is_that_of_the_place_a_line_was_read_from():
    placed = batch([{}, {}, {}]).placed(EPOCH, 7)
    made = document.ids(placed, ["file:a%d"], np.array([0, 0, -1]), np.array([5, 5, 0]), np.array([0, 1, 0]))
    source = base64.urlsafe_b64encode(hashlib.sha256(b"file:a%d").digest()).decode()[:16]
    assert made.to_pylist() == [f"{source}-5-0", f"{source}-5-1", "fedcba9876543210-9"]


@pytest.mark.parametrize(
    ("time_ns", "observed_ns", "name"),
    [
        (NOW_NS, NOW_NS, "logs-2025.11.21"),
        (NOW_NS - 20 * DAY_NS, NOW_NS, "logs-2025.11.01"),
        (NOW_NS + DAY_NS, NOW_NS, "logs-2025.11.22"),
        (NOW_NS + 3 * DAY_NS, NOW_NS, "logs-undated-2025.11.21"),
        (NOW_NS - 31 * DAY_NS, NOW_NS, "logs-undated-2025.11.21"),
        (-1, 0, "logs-1969.12.31"),
        (0, NOW_NS, "logs-undated-2025.11.21"),
    ],
)
def test_a_record_belongs_to_the_day_it_happened_unless_its_clock_cannot_be_right(time_ns, observed_ns, name):
    one = batch([{"time_ns": time_ns, "observed_ns": observed_ns}])
    (day,) = document.days(one, 30 * DAY_NS).tolist()
    assert document.index_name("logs", day) == name
