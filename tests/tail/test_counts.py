"""What matched, counted."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.record import Batch, Level, Stream
from tailrace.tail import counts as module
from tailrace.tail.counts import REST, counts
from tests.batches import batch_of

Line = tuple[int, str, str]
LINES: st.SearchStrategy[list[Line]] = st.lists(
    st.tuples(st.sampled_from([0, 3, 5]), st.sampled_from(["shop", "mail", ""]), st.sampled_from(["a 1", "a 2", "b"])),
    min_size=1,
    max_size=40,
)


def batch(lines: list[Line]) -> Batch:
    names = sorted({service for _, service, _ in lines})
    streams = pa.array([Stream.of({"service": name, "host": "h"}).json for name in names], pa.string())
    codes = pa.array([names.index(service) for _, service, _ in lines], pa.int32())
    return Batch.of(
        time=[0] * len(lines),
        observed=[0] * len(lines),
        level=[level for level, _, _ in lines],
        stream=pa.DictionaryArray.from_arrays(codes, streams),
        message=[message for _, _, message in lines],
    )


@settings(max_examples=80, deadline=None)
@given(LINES, st.lists(st.integers(1, 39)))
def test_counts_of_stretches_add_up_to_those_of_the_list(lines: list[Line], cuts: list[int]) -> None:
    found: dict[str, Counter[str]] = {}
    places = sorted({0, len(lines), *(cut for cut in cuts if cut < len(lines))})
    for first, stop in pairwise(places):
        said = orjson.loads(counts(batch(lines[first:stop])))
        for name, values in (said | said.pop("facets")).items():
            found.setdefault(name, Counter()).update(values)
    assert found["levels"] == Counter(Level(level).name.lower().replace("absent", "none") for level, _, _ in lines)
    assert found.get("service", Counter()) == Counter(service for _, service, _ in lines if service)
    assert found["host"] == {"h": len(lines)}
    assert found["patterns"] == Counter(message.replace("1", "*").replace("2", "*") for _, _, message in lines)


def test_values_beyond_the_bound_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAIL_COUNTS_VALUES_MAX", 2)
    said = orjson.loads(counts(batch_of([*["a"] * 3, *["b"] * 2, "c", "d"])))
    assert said["patterns"] == {"a": 3, "b": 2, REST: 2}


def test_a_facet_that_is_a_parsed_field_counts_as_in_a_search() -> None:
    records = Batch.of(
        time=[0], observed=[0], level=[3], stream=Stream.of({"host": "h"}), message=["x"], fields=['{"pod":"p"}']
    )
    assert orjson.loads(counts(records))["facets"] == {"host": {"h": 1}, "pod": {"p": 1}}
