import pytest

from tailrace.text import bytes_text, count_text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_234_567, "1.23 MB"), (310e6, "310 MB"), (5e12, "5 TB")],
)
def test_bytes_as_a_person_reads_them(count, text):
    assert bytes_text(count) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (999, "999"), (1200, "1.2 k"), (1.2e6, "1.2 M"), (3e9, "3 G")])
def test_counts_as_a_person_reads_them(count, text):
    assert count_text(count) == text
