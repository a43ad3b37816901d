import pyarrow as pa

from tailrace.pipeline.parse_json import fits


def test_half_of_the_lines_are_enough_to_know_json():
    assert fits(pa.array([b'{"a":1}', b"text"]))
    assert not fits(pa.array([b'{"a":1}', b"text", b"[1]"]))
