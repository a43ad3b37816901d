import pyarrow as pa
import pytest

from tailrace.pipeline.parse_logfmt import fits, pairs_of


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ('level=info msg="it works" user=7', {"level": "info", "msg": "it works", "user": "7"}),
        (r'a="say \"hi\"\n" b=', {"a": 'say "hi"\n', "b": ""}),
        ("one=pair", None),
        ("no pairs = here", None),
        ("text first a=1 b=2", None),
        ("", None),
    ],
)
def test_pairs_are_read_or_the_line_is_none(line, pairs):
    assert pairs_of(line) == pairs


def test_pairs_without_a_time_a_level_or_a_message_are_no_log():
    assert not fits(pa.array(["a=1 b=2"]))
    assert fits(pa.array(["ts=1 b=2", "some text"]))
