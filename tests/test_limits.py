"""The bounds of the system."""

from tailrace import limits


def test_a_frame_of_the_bus_fits_into_its_queue_and_its_segment():
    assert limits.FRAME_BYTES_MAX <= limits.APPEND_BYTES_MAX
    assert limits.FRAME_BYTES_MAX <= limits.SEGMENT_BYTES


def test_a_line_fits_into_the_queue_of_the_bus():
    assert limits.LINE_BYTES_MAX <= limits.APPEND_BYTES_MAX
