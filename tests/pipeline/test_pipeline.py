"""Lines become records: message, time, level, fields and stream."""

import base64
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.limits import LINE_BYTES_MAX
from tailrace.lines import Lines
from tailrace.pipeline import Pipeline, process_json
from tailrace.record import Level, Origin, Stream

OBSERVED = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
OBSERVED_NS = int(OBSERVED.timestamp()) * 10**9
STREAM = Stream.of({"path": "/var/log/shop/app.log", "host": "web-1"})
LOGHUB = Path(__file__).parents[3] / "shared/data/loghub"


def lines_of(*texts, stream=STREAM, observed_ns=OBSERVED_NS):
    raw = [text if isinstance(text, bytes) else text.encode() for text in texts]
    origin = Origin("file:1-2-3", 0, len(raw), len(raw), "note")
    return Lines(pa.array(raw, pa.binary()), np.arange(len(raw)) * 10, stream, observed_ns, origin)


def records(*texts, **options):
    return list(Pipeline().process(lines_of(*texts, **options)).records())


def ns(text):
    return int(np.datetime64(text, "ns").astype(np.int64))


SAMPLES = [
    ("2026-01-02T03:04:05.123456789Z ERROR broken", "2026-01-02T03:04:05.123456789", "error"),
    ("2026-01-02T03:04:05+08:00 WARN slow", "2026-01-01T19:04:05", "warn"),
    ("2026-01-02 03:04:05.5 -0330 [main] INFO c.e.App - up", "2026-01-02T06:34:05.500", "info"),
    ("2026-01-02 03:04:05,678 INFO  [main] org.example.Server: started", "2026-01-02T03:04:05.678", "info"),
    ("2026-01-02 03:04:05,678 - shop.pay - ERROR - card declined", "2026-01-02T03:04:05.678", "error"),
    ("2026-01-02 03:04:05,678 - INFO  [Peer:Vote@774] - elected", "2026-01-02T03:04:05.678", "info"),
    ("2026-01-02T03:04:05.678+01:00  WARN 17 --- [  main] c.e.Shop : late", "2026-01-02T02:04:05.678", "warn"),
    ("2026-01-02 03:04:05.678 | DEBUG    | shop:run:12 - tick", "2026-01-02T03:04:05.678", "debug"),
    ("2026-01-02 03:04:05.678 UTC [77] LOG:  checkpoint starting", "2026-01-02T03:04:05.678", "info"),
    (
        "2026-01-02T03:04:05.678901Z 0 [Warning] [MY-010068] [Server] CA is self signed",
        "2026-01-02T03:04:05.678901",
        "warn",
    ),
    ("2026-01-02 03:04:05, Info                  CBS    Loaded", "2026-01-02T03:04:05", "info"),
    ("nova-api.log 2026-01-02 03:04:05.678 25746 WARNING nova.compute late", "2026-01-02T03:04:05.678", "warn"),
    ("[2026-01-02 03:04:05,678] WARN [Controller 1]: no leader (kafka.Controller)", "2026-01-02T03:04:05.678", "warn"),
    ("ERROR 2026-01-02 03:04:05,678 worker died", "2026-01-02T03:04:05.678", "error"),
    ("2026/01/02 03:04:05 [crit] 12#0: *1 no live upstreams", "2026-01-02T03:04:05", "fatal"),
    ("26/01/02 03:04:05 INFO spark.Executor: done", "2026-01-02T03:04:05", "info"),
    ("260102 030405 148 WARN dfs.DataNode: slow", "2026-01-02T03:04:05", "warn"),
    ("20260102-03:04:05:678|Step_LSC|30002312|changed", "2026-01-02T03:04:05.678", None),
    ("01-02 03:04:05.678  1702  2395 W PowerManager: lock", "2026-01-02T03:04:05.678", "warn"),
    ("Jan  2 03:04:05 web-1 sshd[19]: session opened", "2026-01-02T03:04:05", None),
    ("<11>Jan  2 03:04:05 web-1 app: refused", "2026-01-02T03:04:05", "error"),
    ("<165>1 2026-01-02T03:04:05.003Z web-1 app 12 ID47 - text", "2026-01-02T03:04:05.003", "info"),
    ("[Fri Jan 02 03:04:05 2026] [error] child died", "2026-01-02T03:04:05", "error"),
    ("[Fri Jan 02 03:04:05.678901 2026] [mpm:notice] [pid 9] ready", "2026-01-02T03:04:05.678901", "info"),
    ('10.0.0.1 - bob [02/Jan/2026:03:04:05 +0100] "GET / HTTP/1.1" 200 12', "2026-01-02T02:04:05", None),
    ("E0102 03:04:05.678901    1234 pod.go:12] crash loop", "2026-01-02T03:04:05.678901", "error"),
    ("[01.02 03:04:05] chrome.exe - proxy:80 open", "2026-01-02T03:04:05", None),
    ("- 1767323045 2026.01.02 R02 2026-01-02-03.04.05.6 R02 RAS KERNEL FATAL parity", "2026-01-02T03:04:05", "fatal"),
    ("460 node-2 unix.hw state.change 1767323045 1 unavailable", "2026-01-02T03:04:05", None),
    ("17:M 02 Jan 2026 03:04:05.678 * Ready to accept", "2026-01-02T03:04:05.678", None),
    ("1767323045.5 INFO tick", "2026-01-02T03:04:05.500", "info"),
    ("1767323045678 tick", "2026-01-02T03:04:05.678", None),
    ("02-Jan-2026 03:04:05.678 INFO [main] catalina started", "2026-01-02T03:04:05.678", "info"),
]


@pytest.mark.parametrize(("line", "time", "level"), SAMPLES, ids=[line[:40] for line, _, _ in SAMPLES])
def test_a_text_line_keeps_its_message_and_gives_time_and_level(line, time, level):
    (record,) = records(line)
    assert record.message == line
    assert record.time_ns == ns(time)
    assert record.level == (Level[level.upper()] if level else 0)


@pytest.mark.parametrize(
    "line",
    ["", "plain words", "2026-13-02 03:04:05 INFO no such month", "2026-02-30 03:04:05 x", "9999-01-01 00:00:00 far"],
)
def test_a_line_without_a_readable_time_was_seen_when_it_was_observed(line):
    (record,) = records(line)
    assert (record.time_ns, record.message) == (OBSERVED_NS, line)


def test_words_in_the_message_are_no_levels():
    assert {
        record.level for record in records("2026-01-02 03:04:05 user error in form", "Jan  2 03:04:05 a failed")
    } == {0}


def test_a_continuation_takes_the_time_of_the_line_before_even_from_the_block_before():
    pipeline = Pipeline()
    first = pipeline.process(lines_of("2026-01-02 03:04:05 ERROR boom", "java.lang.Error: x", "\tat a.b(C.java:1)"))
    second = pipeline.process(lines_of("\tat d.e(F.java:2)"))
    assert set(first.numpy("time").tolist()) | set(second.numpy("time").tolist()) == {ns("2026-01-02T03:04:05")}


def test_times_without_a_zone_are_in_the_given_zone_summer_and_winter():
    batch = Pipeline(ZoneInfo("Europe/Berlin")).process(lines_of("2026-01-02 12:00:00 x", "2026-07-02 12:00:00 y"))
    assert batch.numpy("time").tolist() == [ns("2026-01-02T11:00"), ns("2026-07-02T10:00")]


def test_a_time_without_year_is_the_newest_that_is_not_in_the_future():
    times = [record.time_ns for record in records("Nov 22 06:00:00 a x", "Nov 23 06:00:00 a x", "Feb 29 00:00:00 a x")]
    assert times == [ns("2026-11-22T06:00"), ns("2025-11-23T06:00"), ns("2024-02-29T00:00")]


def test_a_stream_whose_layout_changes_is_found_out_again():
    pipeline = Pipeline()
    pipeline.process(lines_of("Jan  2 03:04:05 web-1 x"))
    batch = pipeline.process(lines_of('{"time":"2026-01-03T00:00:00Z","level":"warn","msg":"hi"}'))
    (record,) = batch.records()
    assert (record.message, record.level) == ("hi", Level.WARN)
    assert pipeline.layout_of(STREAM.json) == "json"


@pytest.mark.parametrize("before", ['{"level":"info","message":"up"}', "ts=2026-11-20T08:00:00Z level=info msg=up"])
def test_a_stream_that_only_began_otherwise_is_found_out_again(before):
    pipeline = Pipeline()
    pipeline.process(lines_of(before))
    (after,) = pipeline.process(lines_of("2026-11-20 08:00:02,000 WARN slow")).records()
    assert (after.level, after.time_ns) == (Level.WARN, ns("2026-11-20T08:00:02"))


def test_lines_that_nobody_understands_do_not_make_a_layout_unknown():
    pipeline = Pipeline()
    pipeline.process(lines_of("2026-11-20 08:00:00,000 INFO started"))
    pipeline.process(lines_of(*["usage: shop [-h] [--port PORT]"] * 20))
    (after,) = pipeline.process(lines_of("2026-11-20 08:00:02,000 WARN slow")).records()
    assert (after.level, after.time_ns) == (Level.WARN, ns("2026-11-20T08:00:02"))


def test_a_block_whose_lines_all_wait_for_more_teaches_nothing_about_the_stream():
    pipeline = Pipeline()
    pipeline.process(lines_of("2026-11-20 08:00:00,000 INFO started"))
    waiting = replace(
        lines_of("2026-11-20 08:00:01,000 ERROR broken", "\tat com.example.Shop.pay(Shop.java:7)"), ended=False
    )
    assert len(pipeline.process(waiting)) == 0
    (after,) = pipeline.process(lines_of("2026-11-20 08:00:02,000 WARN slow")).records()
    assert (after.level, after.time_ns) == (Level.WARN, ns("2026-11-20T08:00:02"))


def test_bytes_that_are_not_utf8_stay_readable_and_recoverable():
    bad = b"caf\xe9 \xff"
    good, broken = records("ok", bad)
    assert (good.message, good.fields) == ("ok", {})
    assert broken.message == r"caf\xe9 \xff"
    assert base64.b64decode(broken.fields["raw_base64"]) == bad


def test_a_cut_line_says_so():
    (record,) = records(b"x" * LINE_BYTES_MAX)
    assert record.fields == {"cut": True}


def test_json_gives_time_level_message_trace_and_the_rest_as_fields():
    line = (
        '{"ts":"2026-01-02T03:04:05.000000007Z","severity":"WARNING","msg":"hi","traceId":"ab","a":{"b":[1]},"n":null}'
    )
    (record,) = records(line)
    assert (record.time_ns, record.level, record.message) == (ns("2026-01-02T03:04:05.000000007"), Level.WARN, "hi")
    assert (record.trace_id, record.fields) == ("ab", {"a": {"b": [1]}, "n": None})


def test_json_without_a_message_keeps_the_whole_line():
    line = '{"level":50,"time":1767323045678,"pid": 7}'
    (record,) = records(line)
    assert (record.message, record.level, record.fields) == (line, Level.ERROR, {"pid": 7})
    assert record.time_ns == ns("2026-01-02T03:04:05.678")


@pytest.mark.parametrize(
    ("pair", "level"),
    [
        ('"level":10', 1),
        ('"level":60', 6),
        ('"severity":3', 5),
        ('"level":"Information"', 3),
        ('"severity_number":17', 5),
        ('"log.level":"debug"', 2),
        ('"log":{"level":"error"}', 5),
        ('"level":"CRITICAL"', 6),
        ('"level":"purple"', 0),
    ],
)
def test_levels_of_json(pair, level):
    (record,) = records('{"message":"m",' + pair + "}")
    assert record.level == level


def test_a_value_that_is_not_what_its_key_promises_stays_in_the_fields():
    (record,) = records('{"message":{"a":1},"time":"soon","level":"purple","trace_id":5,"msg":"text"}')
    assert record.message == "text"
    assert record.fields == {"message": {"a": 1}, "time": "soon", "level": "purple", "trace_id": 5}


def test_json_names_the_service_but_never_the_file():
    (record,) = records('{"message":"m","service":"pay","path":"/cart","host":"x"}')
    assert record.stream.labels == {"service": "pay", "path": "/var/log/shop/app.log", "host": "web-1"}
    assert record.fields == {"path": "/cart", "host": "x"}


def test_lines_of_one_shape_together_are_what_they_are_one_by_one():
    pairs = [("info", "a", "s"), ("warn", "b", "t"), ("ERROR", "c", "s")]
    alike = [
        f'{{"time":"2026-01-02T03:04:05Z","level":"{a}","message":"{b}","service":"{c}","n":1}}' for a, b, c in pairs
    ]
    assert records(*alike) == [records(line)[0] for line in alike]
    odd = [*alike, '{"time":"2026-01-02T03:04:05Z","level":7,"message":"d","service":"s","n":1}']
    assert records(*odd) == [records(line)[0] for line in odd]


def test_broken_json_is_kept_as_text():
    line = '{"message":"half'
    assert [record.message for record in records('{"message":"m"}', line)] == ["m", line]


def test_logfmt_keeps_the_line_and_gives_its_pairs():
    line = r'ts=2026-01-02T03:04:05Z level=warn msg="say \"hi\"" took=5ms empty='
    (record,) = records(line)
    assert (record.message, record.level, record.time_ns) == (line, Level.WARN, ns("2026-01-02T03:04:05"))
    assert record.fields["msg"] == 'say "hi"'
    assert record.fields["empty"] == ""


def test_a_batch_has_the_places_and_the_origin_of_its_lines():
    batch = Pipeline().process(lines_of("a", "b"))
    assert batch.array("position").to_pylist() == [0, 10]
    assert batch.origins == (Origin("file:1-2-3", 0, 2, 2, "note"),)


def test_no_lines_make_an_empty_batch():
    assert len(Pipeline().process(lines_of())) == 0


PUSHED = Stream.of({"source": "push"})


def test_strict_json_tells_which_lines_it_rejects():
    batch, errors = process_json(lines_of('{"message":"a"}', "nope", "", "[1]", '{"message":"b"}', stream=PUSHED))
    assert batch.array("message").to_pylist() == ["a", "b"]
    assert [index for index, _ in errors] == [1, 3]
    assert batch.array("position").to_pylist() == [0, 40]


def test_a_record_keeps_its_own_labels():
    batch, _ = process_json(lines_of('{"message":"a","host":"h","path":"/x","source":"s"}', stream=PUSHED))
    assert batch.streams[batch.stream_codes[0]].labels == {"host": "h", "path": "/x", "source": "s"}


def test_labels_of_the_lines_win_when_those_of_records_are_not_allowed():
    batch, _ = process_json(lines_of('{"message":"a","source":"s"}', stream=PUSHED), labels_allowed=False)
    assert batch.streams[batch.stream_codes[0]].labels == {"source": "push"}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FIELDS = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXT, max_size=3)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"message": TEXT},
            optional={
                "level": st.sampled_from(["trace", "debug", "info", "warn", "error", "fatal"]),
                "service": st.text("abc", min_size=1, max_size=3),
                "trace_id": TEXT,
                "fields": FIELDS,
            },
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_printed_and_pushed_again_gives_equal_records(pushed):
    first, errors = process_json(lines_of(*(orjson.dumps(record) for record in pushed), stream=PUSHED))
    assert not errors
    printed = first.placed(1, 0).json_rows()
    again, errors = process_json(lines_of(*printed, stream=Stream.of({}), observed_ns=OBSERVED_NS + 5))
    assert not errors
    assert again.placed(1, 0).json_rows() == printed


def test_labels_of_any_name_are_labels_again_when_pushed_again():
    first, _ = process_json(lines_of('{"message":"a"}', stream=Stream.of({"env": "prod", "log": "x", "time": ""})))
    printed = first.placed(1, 0).json_rows()
    again, _ = process_json(lines_of(*printed, stream=Stream.of({})))
    assert again.streams == first.streams


WITHOUT_LEVEL = {"HPC", "HealthApp", "Linux", "Mac", "OpenSSH", "Proxifier", "Thunderbird"}


@pytest.mark.skipif(not LOGHUB.exists(), reason="the real logs are not here")
@pytest.mark.parametrize("name", sorted(path.stem.removesuffix("_2k") for path in LOGHUB.glob("*_2k.log")) or ["none"])
def test_real_logs_give_time_and_level(name):
    raw = (LOGHUB / f"{name}_2k.log").read_bytes().removesuffix(b"\n").split(b"\n")
    batch = Pipeline().process(lines_of(*(line.removesuffix(b"\r") for line in raw)))
    assert len(batch) == len(raw)
    assert OBSERVED_NS not in batch.numpy("time")
    assert np.count_nonzero(batch.numpy("level")) == (0 if name in WITHOUT_LEVEL else len(raw))
