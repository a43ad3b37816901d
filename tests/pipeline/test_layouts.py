import numpy as np
import orjson
import pyarrow as pa
import pytest

from tailrace.lines import Lines, Steps
from tailrace.pipeline import Pipeline
from tailrace.pipeline.layouts import LAYOUTS
from tailrace.record import Level, Origin, Stream

STREAM = Stream.of({"path": "/var/log/shop/app.log"})
OBSERVED_NS = int(np.datetime64("2026-11-20T12:00", "ns").astype(np.int64))


def processed(*lines, pipeline=None, **options):
    raw = pa.array([line.encode() for line in lines], pa.binary())
    origin = Origin("file:1", 0, 10 * len(raw), len(raw))
    ended, head = options.pop("ended", True), options.pop("head", b"")
    batch = (pipeline or Pipeline()).process(
        Lines(raw, np.arange(len(raw)) * 10, STREAM, OBSERVED_NS, origin, Steps(**options), ended=ended, head=head)
    )
    for text in batch.array("fields").drop_null().to_pylist():
        assert orjson.dumps(orjson.loads(text)).decode() == text
    return batch


def fields(line, **options):
    (record,) = processed(line, **options).records()
    return record.fields


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_layout_is_found_out_from_its_sample(layout):
    pipeline = Pipeline()
    batch = processed(layout.sample, pipeline=pipeline)
    assert pipeline.layout_of(STREAM.json) == layout.name
    assert batch.array("message").to_pylist() == [layout.sample]


@pytest.mark.parametrize("layout", [one for one in LAYOUTS if one.form is not None], ids=lambda layout: layout.name)
def test_a_layout_reads_the_time_of_its_sample(layout):
    time = processed(layout.sample).numpy("time")[0]
    assert abs(time - np.datetime64("2026-11-20T08:00", "ns").astype(np.int64)) <= 12 * 3600 * 10**9
    assert time != OBSERVED_NS


ACCESS = '10.0.0.1 - {} [20/Nov/2026:08:00:00 +0000] "{}" 200 {} '


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (
            ACCESS.format("bob", "GET /cart?id=7 HTTP/1.1", 12) + '"https://a/" "curl/8 \\"x\\"" 0.25',
            {"client": "10.0.0.1", "user": "bob", "method": "GET", "url": "/cart?id=7", "protocol": "HTTP/1.1",
             "status": 200, "bytes": 12, "referer": "https://a/", "agent": 'curl/8 \\"x\\"', "duration": 0.25},
        ),
        (
            ACCESS.format("-", "GET / HTTP/2.0", "-"),
            {"client": "10.0.0.1", "method": "GET", "url": "/", "protocol": "HTTP/2.0", "status": 200},
        ),
        (
            "shop.example:443 " + ACCESS.format("-", "GET / HTTP/1.1", 5) + '"-" "-"',
            {"server": "shop.example", "port": 443, "client": "10.0.0.1", "method": "GET", "url": "/",
             "protocol": "HTTP/1.1", "status": 200, "bytes": 5},
        ),
        (
            ACCESS.format("-", "\\x16\\x03 rubbish", 0) + '"-" "-"',
            {"client": "10.0.0.1", "request": "\\x16\\x03 rubbish", "status": 200, "bytes": 0},
        ),
        ("Nov 20 08:00:00 web-1 sshd[19]: in", {"hostname": "web-1", "app": "sshd", "pid": 19}),
        ("Nov 20 08:00:00 web-1 kernel: [1.5] up", {"hostname": "web-1", "app": "kernel"}),
        (
            '<165>1 2026-11-20T08:00:00Z web-1 app - ID47 [a@1 b="c"][d@2 e="f"] hi',
            {"hostname": "web-1", "app": "app", "msgid": "ID47", "structured_data": 'a@1 b="c"][d@2 e="f"'},
        ),
        ("<165>1 2026-11-20T08:00:00Z web-1 app p-1 - - hi", {"hostname": "web-1", "app": "app", "pid": "p-1"}),
        ("I1120 08:00:00.000001   77 pod.go:12] up", {"pid": 77, "source_file": "pod.go", "source_line": 12}),
        ("2026-11-20 08:00:00.1 CET [77] app@shop ERROR:  no", {"pid": 77, "user": "app", "database": "shop"}),
        ("2026-11-20 08:00:00.1 UTC [77] LOG:  up", {"pid": 77}),
        (
            '2026/11/20 08:00:00 [error] 12#0: *5 open() failed, client: ::1, server: _, request: "GET /x HTTP/1.1", h',
            {"pid": 12, "connection": 5, "client": "::1", "server": "_", "request": "GET /x HTTP/1.1"},
        ),
        ("2026/11/20 08:00:00 [notice] 12#12: signal", {"pid": 12}),
        ("17:M 20 Nov 2026 08:00:00.678 * Ready", {"pid": 17, "role": "M"}),
        ("WARNING:shop.pay:declined", {"logger": "shop.pay"}),
    ],
)  # fmt: skip
def test_fields_of_a_line(line, meant):
    assert fields(line) == meant


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026年11月20日 08:00:00 错误 支付失败", Level.ERROR),
        ("2026-11-20 08:00:00 [警告] 慢", Level.WARN),
        ("2026-11-20 08:00:00.1 +08:00 [INF] paid", Level.INFO),
        ("2026-11-20 08:00:00.1 UTC [7] a@b FATAL:  no", Level.FATAL),
        ("W, [2026-11-20T08:00:00.1 #1]  WARN -- : slow", Level.WARN),
        ("[2026-11-20T08:00:00Z INFO  shop::pay] paid", Level.INFO),
        ("ERROR:root:x", Level.ERROR),
        ("[ERROR] build failed", Level.ERROR),
    ],
)
def test_levels_of_a_line(line, level):
    assert processed(line).numpy("level").tolist() == [level]


def test_lines_that_do_not_fit_among_lines_that_do_are_kept_whole():
    batch = processed("WARNING:a:x", "  Traceback", "ERROR:b:y")
    assert batch.array("message").to_pylist() == ["WARNING:a:x", "  Traceback", "ERROR:b:y"]
    assert batch.array("fields").to_pylist() == ['{"logger":"a"}', None, '{"logger":"b"}']


def test_words_with_colons_are_not_taken_for_a_level_and_a_logger():
    pipeline = Pipeline()
    processed("http:example:80", pipeline=pipeline)
    assert pipeline.layout_of(STREAM.json) is None


IIS = "#Fields: date time c-ip cs-method cs-uri-stem sc-status time-taken"
IIS_LINE = "2026-11-20 08:00:00 10.0.0.1 GET /x 200 15"
IIS_FIELDS = {"client": "10.0.0.1", "method": "GET", "url": "/x", "status": 200, "duration": 15}


def test_a_header_names_the_columns_of_the_lines_behind_it():
    *_, record = processed("#Version: 1.0", IIS, IIS_LINE).records()
    assert record.fields == IIS_FIELDS


def test_after_a_restart_the_head_of_the_file_names_the_columns():
    assert fields(IIS_LINE, head=f"#Version: 1.0\r\n{IIS}\r\n".encode()) == IIS_FIELDS


def test_times_of_w3c_are_utc_whatever_the_zone():
    (time,) = processed(IIS_LINE, head=IIS.encode(), zone="Asia/Shanghai").numpy("time").tolist()
    assert np.datetime64(time, "ns") == np.datetime64("2026-11-20T08:00")


def test_plain_reads_nothing_from_the_lines():
    (record,) = processed('{"message":"m"}', format="plain").records()
    assert (record.message, record.time_ns, record.fields) == ('{"message":"m"}', OBSERVED_NS, {})


def test_a_format_that_was_named_is_not_found_out():
    pipeline = Pipeline()
    processed("2026-11-20 08:00:00 x", pipeline=pipeline, format="logfmt")
    assert pipeline.layout_of(STREAM.json) == "logfmt"


def test_a_pattern_reads_fields_and_message():
    (record,) = processed("10.0.0.1 says hi", format="^%{IP:client} says %{GREEDYDATA:message}").records()
    assert (record.message, record.fields) == ("hi", {"client": "10.0.0.1"})


def test_a_line_that_a_pattern_does_not_match_is_its_own_message():
    (record,) = processed("something else", format="^%{IP:client} says %{GREEDYDATA:message}").records()
    assert (record.message, record.fields) == ("something else", {})


def test_the_zone_of_an_entry_is_that_of_times_without_one():
    (time,) = processed("2026-11-20 08:00:00 x", zone="Asia/Shanghai").numpy("time").tolist()
    assert np.datetime64(time, "ns") == np.datetime64("2026-11-20T00:00")


ENVELOPE = "2026-11-20T09:30:00Z stderr F "


@pytest.mark.parametrize(
    ("inner", "options", "time"),
    [
        ("2026-11-20T08:00:00Z INFO a", {}, "2026-11-20T08:00"),
        ("2026-11-20 08:00:00 INFO a", {}, "2026-11-20T09:30"),
        ("2026-11-20 08:00:00 INFO a", {"zone": "UTC"}, "2026-11-20T08:00"),
        ("no time at all", {}, "2026-11-20T09:30"),
    ],
)
def test_the_time_is_the_lines_own_when_its_zone_is_sure_else_that_of_the_envelope(inner, options, time):
    (found,) = processed(ENVELOPE + inner, **options).numpy("time").tolist()
    assert np.datetime64(found, "ns") == np.datetime64(time)


def test_what_is_in_an_envelope_is_understood():
    pipeline = Pipeline()
    (record,) = processed(ENVELOPE + '{"level":"warn","msg":"hi","n":1}', pipeline=pipeline).records()
    assert (record.message, record.level, record.fields) == ("hi", Level.WARN, {"stream": "stderr", "n": 1})
    assert pipeline.layout_of(STREAM.json) == "cri json"


def test_an_open_part_is_read_again_from_where_it_began():
    batch = processed(ENVELOPE + "a", ENVELOPE.replace(" F ", " P ") + "b", ended=False)
    assert batch.array("message").to_pylist() == ["a"]
    assert (batch.origins[0].next, batch.origins[0].rows) == (10, 1)


def test_a_joined_line_stands_where_its_first_part_began():
    part = ENVELOPE.replace(" F ", " P ")
    batch = processed(ENVELOPE + "a", part + "b", part + "c", ENVELOPE + "d", ENVELOPE + "e")
    assert batch.array("message").to_pylist() == ["a", "bcd", "e"]
    assert batch.array("position").to_pylist() == [0, 10, 40]
