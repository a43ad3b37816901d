import pytest

from tailrace.errors import QueryError
from tailrace.query import parse
from tests.query.records import batch, rows
from tests.query.strategies import NOW_NS

RECORD = {"labels": {"service": "a", "host": "h"}, "level": 5, "trace_id": "t", "fields": {"x": 1, "y": {"z": 2}}}


def test_labels_fields_level_and_trace_can_be_left_out():
    (row,) = rows("| drop host, level, trace_id, x", batch([RECORD]))
    assert {"host", "level", "trace_id"}.isdisjoint(row)
    assert (row["service"], row["fields"]) == ("a", {"y": {"z": 2}})


def test_a_dot_leads_inside():
    (row,) = rows("| drop y.z", batch([RECORD]))
    assert row["fields"] == {"x": 1, "y": {}}


def test_a_column_of_a_table_can_be_left_out():
    assert rows("| stats count by service | drop count", batch([RECORD])) == [{"service": "a"}]


def test_time_and_message_stay():
    with pytest.raises(QueryError):
        parse("| drop message", NOW_NS)
