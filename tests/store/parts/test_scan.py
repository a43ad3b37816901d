import numpy as np
import pytest

from tailrace.query import parse
from tailrace.store import Search
from tailrace.store.parts.scan import candidates
from tests.batches import batch_of
from tests.store.parts.making import part_of


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """Three blocks; in each one message has a word of its own, and the times follow each other."""
    messages = [f"common w{number // 8192} {'rare' if number == 9000 else ''}" for number in range(3 * 8192)]
    return part_of(tmp_path_factory.mktemp("part"), batch_of(messages, service="shop").placed(1, 0))


@pytest.mark.parametrize(
    ("query", "blocks"),
    [
        ("common", [0, 1, 2]), ("rare", [1]), ("w2", [2]), ("w*", [0, 1, 2]), ("rar*", [1]), ("absent", []),
        ("rare w2", []), ("rare or w2", [1, 2]), ("service:shop", [0, 1, 2]), ("service:other", []),
        ("not rare", [0, 1, 2]), ("level:info", [0, 1, 2]), ("level:error", []),
    ],
)  # fmt: skip
def test_only_blocks_that_may_hold_a_match_are_read(part, query, blocks):
    assert candidates(part, Search(parse(query, 0).filter)).tolist() == blocks


def test_time_and_cursors_choose_blocks_too(part):
    everything = parse("*", 0).filter
    assert candidates(part, Search(everything, first_ns=10_000)).tolist() == [1, 2]
    assert candidates(part, Search(everything, stop=part.first + 8192)).tolist() == [0]
    assert not np.any(candidates(part, Search(everything, start=part.next)))
