"""speaker: host and program of a syslog message."""

import pyarrow as pa
import pytest

from tailrace.pipeline.speaker import speakers
from tailrace.record import Stream

PEER = Stream.of({"source": "syslog", "host": "10.0.0.9"})


@pytest.mark.parametrize(
    ("line", "host", "service"),
    [
        ("<34>1 2026-11-20T08:00:00.003Z web-1 su - ID47 - 'su root' failed", "web-1", "su"),
        ("<34>1 2026-11-20T08:00:00+08:00 web-1 nginx 123 - - hello", "web-1", "nginx"),
        ("<34>Oct 11 22:14:15 web-1 su: 'su root' failed", "web-1", "su"),
        ("<34>Oct  1 22:14:15 web-1 sshd[4711]: Accepted", "web-1", "sshd"),
        ("<34>Oct 11 22:14:15 su: no host is named", "10.0.0.9", "su"),
        ("<34>1 - - - - - - nothing is known", "10.0.0.9", None),
        ("<34>1 2026-11-20T08:00:00Z - app - - - no host", "10.0.0.9", "app"),
        ("no syslog at all", "10.0.0.9", None),
        ("", "10.0.0.9", None),
    ],
)
def test_the_head_of_a_message_names_host_and_program(line, host, service):
    codes, streams = speakers(pa.array([line]), PEER)
    labels = streams[codes[0]].labels
    assert (labels["host"], labels.get("service"), labels["source"]) == (host, service, "syslog")


def test_lines_of_one_speaker_share_a_stream():
    lines = ["<1>Oct 11 22:14:15 a b: x", "<1>Oct 11 22:14:15 c d: x", "<1>Oct 11 22:14:16 a b: y"]
    codes, streams = speakers(pa.array(lines), PEER)
    assert (codes, len(streams)) == ([0, 1, 0], 2)


def test_a_name_that_is_too_long_is_no_label():
    codes, streams = speakers(pa.array([f"<1>Oct 11 22:14:15 {'h' * 2000} b: x"]), PEER)
    assert streams[codes[0]].labels["host"] == "10.0.0.9"
