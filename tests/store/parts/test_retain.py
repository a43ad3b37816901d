from dataclasses import dataclass

import pytest

from tailrace.limits import SECOND_NS
from tailrace.store.parts.retain import expired


@dataclass(frozen=True)
class Fake:
    observed_ns: int
    disk_bytes: int


PARTS = [Fake(seconds * SECOND_NS, 100) for seconds in (10, 20, 5, 40)]


@pytest.mark.parametrize(
    ("retain_s", "retain_bytes", "gone"),
    [
        (None, None, []), (1000, 1000, []), (30, None, [0, 2]), (None, 250, [0, 1]), (None, 0, [0, 1, 2, 3]),
        (30, 150, [0, 2, 1]), (1, None, [0, 1, 2, 3]),
    ],
)  # fmt: skip
def test_what_is_too_old_goes_and_then_the_oldest_until_the_rest_fits(retain_s, retain_bytes, gone):
    assert expired(PARTS, 42 * SECOND_NS, retain_s, retain_bytes) == [PARTS[index] for index in gone]
