"""Records as lines: what a person reads, and what a terminal must never be told."""

import pytest

from tailrace.cli.lines import Highlights, Lines, field_of, query_words
from tailrace.cli.terminal import columns
from tailrace.errors import ConfigError

RECORD = {
    "time": "2026-11-20T08:00:00.123456789Z",
    "level": "error",
    "service": "shop",
    "message": "payment failed",
    "fields": {"user.id": 7, "http": {"status": 500}, "ok": None},
}


def test_a_line_is_time_level_speaker_and_message():
    assert Lines().line(RECORD) == "2026-11-20 08:00:00.123 error shop payment failed"


@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("template", [None, "{time} {level} {service} {message} {x}"])
def test_no_part_of_a_record_commands_the_terminal(colours, template):
    evil = "\x1b]0;title\x07\r\u202e"
    record = {"time": evil, "level": evil, "service": evil, "message": evil, "fields": {"x": evil}}
    lines = Lines(colours=colours, template=template, fields=["x"], highlights=Highlights(evil, [evil]))
    shown = lines.line(record, "9s")
    assert not set("\x07\r\u202e") & set(shown)
    assert "\x1b]" not in shown


def test_fields_stand_behind_the_message():
    assert Lines(fields=["user.id", "http.status", "missing"]).line(RECORD).endswith("failed user.id=7 http.status=500")


def test_a_field_is_found_by_its_whole_name_or_by_the_way_to_it():
    assert (field_of(RECORD, "user.id"), field_of(RECORD, "http.status"), field_of(RECORD, "http.status.x")) == (
        7,
        500,
        None,
    )


def test_a_template_says_what_stands_where():
    lines = Lines(template="{{{level:7}}} {message}|{user.id:3}|{missing}")
    assert lines.line(RECORD) == "{error  } payment failed|7  |"


def test_columns_of_a_template_align_chinese_and_latin_text():
    lines = Lines(template="{service:8}|")
    assert columns(lines.line({"service": "订单", "message": ""})) == columns(lines.line(RECORD))


@pytest.mark.parametrize("template", ["{", "}", "{}", "a } b", "{a:b}"])
def test_a_bracket_that_stands_alone_is_explained(template):
    with pytest.raises(ConfigError) as caught:
        Lines(template=template)
    assert caught.value.cure


def test_who_speaks_is_a_column_that_widens():
    lines = Lines(aligned=True)
    wide = lines.line({**RECORD, "service": "a-longer-name"})
    assert wide.index("payment") == lines.line(RECORD).index("payment")


def test_an_event_of_several_lines_is_one_line_for_programs_and_several_that_are_set_in_on_a_terminal():
    record = {**RECORD, "message": "boom\n\tat Main\r"}
    assert Lines().line(record).endswith("shop boom\\n\tat Main\\r")
    assert Lines(aligned=True).line(record).endswith("shop boom\n    \tat Main\\r")


def test_what_is_late_says_so_before_the_message():
    assert Lines().line(RECORD, "12s").endswith("shop late 12s payment failed")
    assert Lines(template="{message}{late}").line(RECORD, "12s") == "payment failed12s"


def test_a_line_of_context_is_dim_as_a_whole():
    shown = Lines(colours=True, highlights=Highlights("payment", [])).line({**RECORD, "context": True})
    assert (shown[:4], shown.count("\x1b"), shown[-4:]) == ("\x1b[2m", 2, "\x1b[0m")


def test_a_record_without_a_message_is_its_fields():
    assert Lines().line({"service": "shop", "n": 1}) == "service=shop  n=1"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ('error "payment failed" /time(d )?out/i pay*', ["error", "payment failed", "/time(d )?out/i", "pay*"]),
        ("level:error service:(a or b) shop:x f:>=5 f=7 status:[1 TO 5]", []),
        ("-debug not trace a and b or c", ["a", "b", "c"]),
        ("message:yes *:too (in brackets)", ["yes", "too", "in", "brackets"]),
        ("word | where other", ["word"]),
        ("订单", ["订单"]),
    ],
)
def test_the_words_of_a_query_are_what_it_looks_for_in_messages(query, words):
    assert query_words(query) == words


def marked(text, query="", words=()):
    return [piece for colour, piece in Highlights(query, words).pieces(text) if colour]


def test_words_are_marked_in_any_case_and_only_as_a_whole():
    assert marked("Error, errors, ERROR", "error") == ["Error", "ERROR"]
    assert marked("新订单已支付", "订单") == ["订单"]


def test_a_pattern_is_marked_where_it_matches():
    assert marked("took 12 ms, 7 ms", words=["/\\d+ ms/"]) == ["12 ms", "7 ms"]


def test_words_of_ones_own_have_colours_of_their_own():
    colours = {colour for colour, _ in Highlights("a", ["b", "c"]).pieces("a b c")}
    assert len(colours - {""}) == 3


def test_what_overlaps_is_marked_once_and_nothing_is_lost():
    pieces = Highlights("failed", ["payment failed"]).pieces("payment failed again")
    assert "".join(text for _, text in pieces) == "payment failed again"
    assert [text for colour, text in pieces if colour] == ["payment failed"]


def test_a_pattern_that_re2_does_not_take_is_explained():
    with pytest.raises(ConfigError) as caught:
        Highlights("", ["/(?=x)/"])
    assert "RE2" in caught.value.cure


def test_a_wrong_pattern_in_the_query_is_left_to_the_server():
    assert marked("a(", "/a(/") == []
