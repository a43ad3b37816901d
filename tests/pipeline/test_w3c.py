import pyarrow as pa

from tailrace.pipeline.w3c import header, layout_of

FIELDS = "#Fields: date time c-ip cs-method cs-uri-stem sc-status time-taken"
OTHER = "#Fields: date time sc-status"


def test_the_newest_header_among_the_lines_wins_over_that_of_the_file():
    assert header(pa.array(["x", FIELDS]), OTHER.encode()) == FIELDS


def test_the_head_of_the_file_knows_the_names_when_the_lines_do_not():
    assert header(pa.array(["x"]), b"#Version: 1.0\r\n" + FIELDS.encode() + b"\r\n2026") == FIELDS


def test_columns_have_the_names_of_other_access_logs():
    layout = layout_of(FIELDS)
    assert layout is not None
    assert layout.templates[0].names == ["client", "method", "url", "status", "duration"]


def test_a_header_without_names_is_none():
    assert layout_of("#Fields: ") is None
    assert layout_of("#Fields: {a}") is None
