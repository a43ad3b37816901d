from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-20T08:00:00+08", "2026-11-20T00:00:00.000"),
        ("2026-11-20T08:00:00.000000001Z", "2026-11-20T08:00:00.000000001"),
        ("2026年11月20日 08:00:00", "2026-11-20T08:00:00.000"),
        ("2026年1月2日 下午3:04:05", "2026-01-02T15:04:05.000"),
        ("2026年1月2日08时04分05秒", "2026-01-02T08:04:05.000"),
        ("1795161600123456", "2026-11-20T08:00:00.123456000"),
        ("1795161600123456789", "2026-11-20T08:00:00.123456789"),
        ("Dec 31 23:59:59", "2025-12-31T23:59:59.000"),
        ("Nov 21 11:00:00", "2026-11-21T11:00:00.000"),
    ],
)
def test_other_forms_of_a_time_are_read(text, meant):
    assert read(text) == meant


@pytest.mark.parametrize(("hour", "meant"), [(0, "2026-10-25T00:30:00.000"), (1, "2026-10-25T01:30:00.000")])
def test_of_an_hour_that_comes_twice_it_is_the_later_one_that_is_not_in_the_future(hour, meant):
    observed = int(np.datetime64(f"2026-10-25T0{hour}:45", "ns").astype(np.int64))
    _, ns = read_any(pa.array(["2026-10-25 02:30:00"]), observed, ZoneInfo("Europe/Berlin"))
    assert str(ns.view("datetime64[ns]")[0]).removesuffix("000000") == meant


def test_a_time_in_the_hour_that_is_left_out_is_read_as_if_it_had_not_been():
    assert read("2026-03-29 02:30:00", ZoneInfo("Europe/Berlin")) == "2026-03-29T01:30:00.000"


FORMS = {
    "ISO": lambda t, frac, off: f"{t:%Y-%m-%d %H:%M:%S}{frac}{off}",
    "T": lambda t, frac, off: f"{t:%Y-%m-%dT%H:%M:%S}{frac}{off}",
    "slashed": lambda t, frac, off: f"{t:%Y/%m/%d %H:%M:%S}{frac}{off}",
    "http": lambda t, frac, off: f"{t:%d}/{MONTHS[t.month - 1]}/{t:%Y:%H:%M:%S}{frac} {off.replace('Z', '+0000')}",
    "basic": lambda t, frac, off: f"{t:%Y%m%dT%H%M%S}{frac}{off}",
}
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@given(
    form=st.sampled_from(sorted(FORMS)),
    moment=st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)),
    digits=st.text("0123456789", max_size=9),
    separator=st.sampled_from(".,"),
    hours=st.integers(-12, 14),
    shape=st.sampled_from(["{:+03}:00", "{:+03}00", "Z"]),
)
def test_every_form_of_a_time_is_read_as_it_was_written(form, moment, digits, separator, hours, shape):
    text = FORMS[form](moment, separator + digits if digits else "", shape.format(hours))
    ok, ns = read_any(pa.array([text]), NOW_NS, UTC)
    whole = int(np.datetime64(moment.replace(microsecond=0), "s").astype(np.int64)) - (
        0 if shape == "Z" else hours * 3600
    )
    assert (ok.tolist(), ns.tolist()) == ([True], [whole * 10**9 + int(digits.ljust(9, "0"))])


EXACT = st.builds(
    lambda seconds, fraction, between, zone: (
        str(np.datetime64(seconds, "s")).replace("T", between) + (f".{fraction}" if fraction else "") + zone
    ),
    st.integers(-(2**33), 2**33),
    st.text("0123456789", max_size=10),
    st.sampled_from("T t"),
    st.sampled_from(["Z", "Z", "Z", "z", "", "+00:00", "+18:30", " Z", ":00Z"]),
)


@given(st.lists(EXACT, min_size=1, max_size=5))
def test_times_that_are_read_together_mean_what_they_mean_alone(texts):
    together = read_any(pa.array(texts), NOW_NS, UTC)
    beside = read_any(pa.array([*texts, "hello"]), NOW_NS, UTC)
    for one, other in zip(together, beside, strict=True):
        assert one.tolist() == other[:-1].tolist()
