from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from tailrace.pipeline.timestamp import read_any

NOW_NS = int(np.datetime64("2026-11-20T12:00", "ns").astype(np.int64))


def read(text, zone=UTC):
    ok, ns = read_any(pa.array([text]), NOW_NS, zone)
    return str(ns.view("datetime64[ns]")[0]).removesuffix("000000") if ok[0] else None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-20T08:00:00Z", "2026-11-20T08:00:00.000"),
        ("2026-11-20 08:00:00,123", "2026-11-20T08:00:00.123"),
        ("2026-11-20T08:00:00.5+08:00", "2026-11-20T00:00:00.500"),
        ("2026-11-20T08:00:00-0330", "2026-11-20T11:30:00.000"),
        ("1795161600", "2026-11-20T08:00:00.000"),
        ("1795161600123", "2026-11-20T08:00:00.123"),
        ("2026-02-30T08:00:00Z", None),
        ("2026-11-20T25:00:00Z", None),
        ("hello", None),
        ("", None),
    ],
)
def test_times_are_read_or_refused(text, meant):
    assert read(text) == meant


def test_a_time_without_a_zone_is_in_the_given_one():
    assert read("2026-11-20 08:00:00", timezone(timedelta(hours=8))) == "2026-11-20T00:00:00.000"


def test_the_hour_that_comes_twice_is_one_of_the_two():
    assert read("2026-10-25 02:30:00", ZoneInfo("Europe/Berlin")) in (
        "2026-10-25T00:30:00.000",
        "2026-10-25T01:30:00.000",
    )
