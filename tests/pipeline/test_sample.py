"""One of n is kept, always the same ones, and each says how many it stands for."""

from collections import Counter

import orjson
import pytest
from tests.batches import batch_of, messages_of

from tailrace.errors import ConfigError
from tailrace.lines import Sample
from tailrace.pipeline.sample import check, sampled
from tailrace.record import Batch, Origin, Stream

ROWS = 10_000
TEN = Sample("level:info", 10)


def take(batch, sample=TEN):
    counts = Counter()
    return sampled(batch, sample, counts), counts


def test_about_one_of_n_is_kept_and_the_others_are_counted():
    batch, counts = take(batch_of(["m"] * ROWS, source="file:1"))
    assert 800 < len(batch) < 1200
    assert counts == {"level:info": ROWS - len(batch)}
    assert batch.origins == (Origin("file:1", 0, ROWS, len(batch)),)


def test_a_part_that_is_read_again_keeps_the_same():
    messages = [str(number) for number in range(1000)]
    whole = messages_of([take(batch_of(messages, source="file:1"))[0]])
    parts = [take(batch_of(messages[n : n + 7], source="file:1", first=n))[0] for n in range(0, 1000, 7)]
    assert messages_of(parts) == whole


def test_streams_do_not_keep_the_same_places():
    left, _ = take(batch_of(["m"] * 1000, source="a", service="left"))
    right, _ = take(batch_of(["m"] * 1000, source="a", service="right"))
    assert left.array("position") != right.array("position")


def test_a_kept_record_says_how_many_it_stands_for():
    batch, _ = take(batch_of(["m"] * 100, source="a"))
    assert set(batch.array("fields").to_pylist()) == {'{"sampled":10}'}


def test_what_is_not_meant_is_kept_as_it_is():
    batch, counts = take(batch_of(["m"] * 100, source="a"), Sample("level:debug", 10))
    assert (len(batch), batch.array("fields").null_count, counts) == (100, 100, {})


def test_a_record_that_was_sampled_before_stands_for_the_product():
    rows = 200
    fields = ['{"a":1}', '{"sampled":5}', "{}", None] * (rows // 4)
    batch = Batch.of(
        time=[0] * rows,
        observed=[0] * rows,
        level=[3] * rows,
        stream=Stream.of({}),
        message=["m"] * rows,
        position=list(range(rows)),
        fields=fields,
    )
    found = {text: orjson.loads(text) for text in take(batch, Sample("*", 2))[0].array("fields").to_pylist()}
    assert sorted(found) == ['{"a":1,"sampled":2}', '{"sampled":10}', '{"sampled":2}']


@pytest.mark.parametrize("sample", [Sample("level:info", 1), Sample("a | count", 5), Sample("", 5)])
def test_a_sample_that_cannot_be_is_explained(sample):
    with pytest.raises(ConfigError):
        check(sample)
