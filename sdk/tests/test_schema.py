"""What a structured record must look like."""

import pytest

from tailrace_sdk import Schema


@pytest.mark.parametrize(
    ("record", "faults"),
    [
        ({"message": "x", "level": "info", "duration_ms": 1, "whatever": object}, []),
        ({"message": "x", "level": "WARNING", "trace_id": None}, []),
        ({}, ["message is missing"]),
        ({"message": None}, ["message is missing"]),
        ({"message": 5}, ["message is int, not str"]),
        ({"message": "x", "duration_ms": "fast"}, ["duration_ms is str, not int or float"]),
        ({"message": "x", "duration_ms": True}, ["duration_ms is bool, not int or float"]),
        ({"message": "x", "level": "loud"}, ["'loud' is no level"]),
    ],
)
def test_faults_are_named(record, faults):
    assert Schema().faults(record) == faults


def test_fields_can_be_required_and_have_types_of_ones_own():
    schema = Schema(required=("order",), types={"order": int, "paid": bool})
    assert schema.faults({"order": 5, "paid": True}) == []
    assert schema.faults({"order": "5", "paid": 1}) == ["order is str, not int", "paid is int, not bool"]
    assert schema.faults({}) == ["order is missing"]


def test_only_some_levels_can_be_allowed():
    schema = Schema(required=(), levels=("ERROR", "critical"))
    assert schema.faults({"level": "fatal"}) == []
    assert schema.faults({"level": "info"}) == ["'info' is no level"]
