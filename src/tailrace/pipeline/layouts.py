"""The table of text layouts, in the order in which they are tried: the special before the general.

Names of fields are those that people query (``client method url status``), else those of OpenTelemetry or ECS without
their dots. What a request asked for is ``url``, not ``path``: ``path`` is the file that the line stands in.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import pyarrow as pa

from tailrace.pipeline.dissect import Template
from tailrace.pipeline.parse_text import UPPER, USUAL, WORD, Layout, Seen, after, at, behind_capitals, fits
from tailrace.pipeline.timestamp import AMERICAN, CHINESE, ISO, JAVA, EpochFormat, Text, TimeFormat

_SLASHED = TimeFormat("YYYY/mm/dd?HH:MM:SS")
_BSD = TimeFormat("bbb ee HH:MM:SS")
_HTTP = TimeFormat("dd/bbb/YYYY:HH:MM:SS")
_CLOCK = TimeFormat("HH:MM:SS")
_PRI = r"^<(?P<level>\d{1,3})>"
_FIRST = rf"^\W*(?P<level>{WORD})\b"
_COLOURED = rf"^(?:\x1b\[[\d;]*m|\s)*(?P<level>{WORD})\b"


def _templates(*shown: str) -> tuple[Template, ...]:
    return tuple(Template(one) for one in shown)


_REQUEST = '"{method} {url} {protocol}" {status:int} {bytes:int}'
_CLIENT = "{client} {} {user} [{*}] "
_VHOST = "{server}:{port:int} "
_ACCESS = _templates(
    _CLIENT + _REQUEST + ' "{referer*}" "{agent*}"{duration?:float}',
    _VHOST + _CLIENT + _REQUEST + ' "{referer*}" "{agent*}"',
    _CLIENT + _REQUEST,
    _VHOST + _CLIENT + _REQUEST,
    _CLIENT + '"{request*}" {status:int} {bytes:int} "{referer*}" "{agent*}"',
    _CLIENT + '"{request*}" {status:int} {bytes:int}',
)
_SYSLOG = _templates(" {hostname} {app}[{pid:number}]: ", " {hostname} {app}: ")
_NGINX_HEAD = " [{level}] {pid:int}#{}: "
_NGINX_ERROR = _templates(
    _NGINX_HEAD
    + '*{connection:int} {*}, client: {client}, server: {server*}, request: "{request*}", upstream: "{upstream*}", ',
    _NGINX_HEAD + '*{connection:int} {*}, client: {client}, server: {server*}, request: "{request*}", ',
    _NGINX_HEAD + "*{connection:int} {*}, client: {client}, server: {server*}",
    _NGINX_HEAD,
)
_HAPROXY = _templates(
    " {hostname} {app}[{pid:int}]: {client}:{port:int} [{*}] {frontend} {backend}/{server} {timers} "
    '{status:int} {bytes:int} {} {} {} {} {} {*}"{method} {url} {protocol}"',
    " {hostname} {app}[{pid:int}]: {client}:{port:int} [{*}] {frontend} {backend}/{server} {timers} "
    '{status:int} {bytes:int} {} {} {} {} {*}"{method} {url} {protocol}"',
)
_POSTGRESQL = _templates(
    "{*}[{pid:int}] {user}@{database} {level}:  ", "{*}[{pid:int}] {level}:  ", "{*}[{pid:int}] {user} {level}:  "
)

LAYOUTS: Sequence[Layout] = (
    Layout(
        "postgresql",
        "PostgreSQL with the usual log_line_prefix",
        "2026-11-20 08:00:00.678 UTC [77] app@shop LOG:  checkpoint starting",
        at(0),
        ISO,
        templates=_POSTGRESQL,
        strict=True,
    ),
    Layout(
        "mysql",
        "MySQL and MariaDB, error log",
        "2026-11-20T08:00:00.678901Z 0 [Warning] [MY-010068] [Server] CA is self signed",
        at(0),
        ISO,
        templates=_templates(" {thread:int} [{level}] [{code}] [{subsystem}] ", " {thread:int} [{level}] "),
        strict=True,
    ),
    Layout(
        "mysql-slow",
        "MySQL, slow log: the time of an event",
        "# Time: 2026-11-20T08:00:00.678901Z",
        after(b" ", 2, b"#"),
        ISO,
    ),
    Layout(
        "iso",
        "ISO 8601 first: Log4j, Logback, Python, Rust, Serilog, supervisor and many others",
        "2026-11-20 08:00:00,123 INFO  [main] org.example.Server: started",
        at(0),
        ISO,
        USUAL,
    ),
    Layout(
        "ruby",
        "Ruby's Logger",
        "I, [2026-11-20T08:00:00.678901 #123]  INFO -- shop: paid",
        after(b"[", 1),
        ISO,
        templates=_templates(" #{pid:int}]~{level} -- {logger*}: "),
        strict=True,
    ),
    Layout(
        "iso-bracketed",
        "ISO 8601 in brackets: Kafka, env_logger, Monolog",
        "[2026-11-20 08:00:00,123] WARN [Controller 1]: no leader (kafka.Controller)",
        at(1),
        ISO,
        USUAL,
    ),
    Layout(
        "iso-coloured",
        "ISO 8601 behind a colour: tracing on a terminal",
        "\x1b[2m2026-11-20T08:00:00.678901Z\x1b[0m \x1b[32m INFO\x1b[0m shop: paid",
        after(b"m", 1, b"\x1b"),
        ISO,
        _COLOURED,
    ),
    Layout(
        "haproxy",
        "HAProxy over syslog",
        "Nov 20 08:00:00 web-1 haproxy[14]: 10.0.1.2:33317 [20/Nov/2026:08:00:00.655] http-in static/srv1 "
        '10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1"',
        at(0),
        _BSD,
        templates=_HAPROXY,
        strict=True,
    ),
    Layout(
        "rfc3164",
        "syslog as files hold it",
        "Nov 20 08:00:00 web-1 sshd[19]: session opened",
        at(0),
        _BSD,
        templates=_SYSLOG,
    ),
    Layout(
        "rfc5424-pri",
        "syslog, RFC 5424",
        '<165>1 2026-11-20T08:00:00.003Z web-1 app 12 ID47 [origin@1 ip="10.0.0.1"] text',
        after(b" ", 1, b"<"),
        ISO,
        _PRI,
        _templates(
            " {hostname} {app} {pid:number} {msgid} [{structured_data*}] ", " {hostname} {app} {pid:number} {msgid} "
        ),
        before=True,
        priority=True,
    ),
    Layout(
        "rfc3164-pri",
        "syslog, RFC 3164",
        "<11>Nov 20 08:00:00 web-1 app: refused",
        after(b">", 1, b"<"),
        _BSD,
        _PRI,
        _SYSLOG,
        before=True,
        priority=True,
    ),
    Layout(
        "apache-error",
        "Apache httpd 2.2, error log",
        "[Fri Nov 20 08:00:00 2026] [error] child died",
        at(1),
        TimeFormat("*** bbb ee HH:MM:SS YYYY"),
        r"^\] \[(?:\w*:)?(?P<level>\w+)[\]:]",
        _templates("] [{}] [client {client}] "),
    ),
    Layout(
        "apache-error-micro",
        "Apache httpd 2.4, error log",
        "[Fri Nov 20 08:00:00.678901 2026] [proxy:error] [pid 9:tid 140] [client 10.0.0.1:51] AH00957: failed",
        at(1),
        TimeFormat("*** bbb ee HH:MM:SS.ffffff YYYY"),
        r"^\] \[(?:\w*:)?(?P<level>[a-z]+)\d?\]",
        _templates(
            "] [{module*}:{}] [pid {pid:int}:tid {tid:int}] [client {client}] ",
            "] [{module*}:{}] [pid {pid:int}] [client {client}] ",
            "] [{module*}:{}] [pid {pid:int}:tid {tid:int}] ",
            "] [{module*}:{}] [pid {pid:int}] ",
        ),
    ),
    Layout(
        "access",
        "Access logs of nginx, Apache, Tomcat and others: common, combined, with the virtual host",
        '10.0.0.1 - bob [20/Nov/2026:08:00:00 +0100] "GET /cart?id=7 HTTP/1.1" 200 12 "-" "curl/8.5"',
        after(b"["),
        _HTTP,
        templates=_ACCESS,
        whole=True,
    ),
    Layout(
        "nginx-error",
        "nginx, error log",
        "2026/11/20 08:00:00 [error] 12#34: *56 connect() failed, client: 10.0.0.1, server: shop, "
        'request: "GET / HTTP/1.1", upstream: "http://10.1.1.1:80/", host: "shop"',
        at(0),
        _SLASHED,
        templates=_NGINX_ERROR,
        strict=True,
    ),
    Layout(
        "slashed", "Go's log package and others", "2026/11/20 08:00:00 main.go:12: listening", at(0), _SLASHED, USUAL
    ),
    Layout(
        "klog",
        "Kubernetes components and glog",
        "E1120 08:00:00.678901    1234 pod.go:12] crash loop",
        at(1),
        TimeFormat("mmdd HH:MM:SS"),
        r"^(?P<level>[IWEF])\d{4} ",
        _templates(" ~{pid:int} {source_file}:{source_line:int}] "),
        before=True,
    ),
    Layout(
        "android",
        "Android",
        "11-20 08:00:00.678  1702  2395 W PowerManager: lock",
        at(0),
        TimeFormat("mm-dd HH:MM:SS"),
        r"^\s+\d+\s+\d+\s+(?P<level>[VDIWEF])\s",
    ),
    Layout(
        "hdfs",
        "Hadoop's HDFS",
        "261120 080000 148 WARN dfs.DataNode: slow",
        at(0),
        TimeFormat("yymmdd HHMMSS"),
        rf"^ \d+ (?P<level>{UPPER})\b",
    ),
    Layout(
        "short-slashed",
        "Spark",
        "26/11/20 08:00:00 INFO spark.Executor: done",
        at(0),
        TimeFormat("yy/mm/dd HH:MM:SS"),
        USUAL,
    ),
    Layout(
        "health",
        "Date and time joined",
        "20261120-08:00:00:678|Step_LSC|30002312|changed",
        at(0),
        TimeFormat("YYYYmmdd-HH:MM:SS"),
    ),
    Layout(
        "proxifier", "Proxifier", "[11.20 08:00:00] chrome.exe - proxy:80 open", at(1), TimeFormat("mm.dd HH:MM:SS")
    ),
    Layout(
        "supercomputer",
        "Blue Gene",
        "- 1795161600 2026.11.20 R02 2026-11-20-08.00.00.6 R02 RAS KERNEL FATAL parity",
        after(b" "),
        EpochFormat(),
        r"^ (?:\S+ ){6}(?P<level>INFO|WARNING|ERROR|SEVERE|FATAL|FAILURE)\b",
    ),
    Layout(
        "cluster",
        "Epoch seconds in the fifth place",
        "460 node-2 unix.hw state.change 1795161600 1 unavailable",
        after(b" ", 4),
        EpochFormat(),
    ),
    Layout(
        "redis",
        "Redis and Valkey",
        "17:M 20 Nov 2026 08:00:00.678 # Out of memory",
        after(b" "),
        TimeFormat("dd bbb YYYY HH:MM:SS"),
        templates=_templates("{pid:int}:{role} "),
        whole=True,
    ),
    Layout(
        "level-first",
        "The level, then ISO 8601",
        "ERROR 2026-11-20 08:00:00,678 worker died",
        behind_capitals,
        ISO,
        _FIRST,
        before=True,
    ),
    Layout(
        "level-first-slashed",
        "The level, then a slashed time",
        "ERROR 2026/11/20 08:00:00 worker died",
        behind_capitals,
        _SLASHED,
        _FIRST,
        before=True,
    ),
    Layout(
        "iso-after-name",
        "A name, then ISO 8601: OpenStack",
        "nova-api.log 2026-11-20 08:00:00.678 25746 WARNING nova.compute late",
        after(b" "),
        ISO,
        USUAL,
    ),
    Layout(
        "dotted",
        "Day first, with dots",
        "20.11.2026 08:00:00 INFO started",
        at(0),
        TimeFormat("dd.mm.YYYY HH:MM:SS"),
        USUAL,
    ),
    Layout(
        "day-first",
        "Tomcat's catalina.out",
        "20-Nov-2026 08:00:00.678 INFO [main] catalina started",
        at(0),
        TimeFormat("dd-bbb-YYYY HH:MM:SS"),
        USUAL,
    ),
    Layout(
        "java",
        "java.util.logging on two lines: time and place, then the level",
        "Nov 20, 2026 8:00:00 AM org.example.Shop run",
        at(0),
        JAVA,
    ),
    Layout("chinese", "Chinese dates and levels", "2026年11月20日 08:00:00 错误 支付失败", at(0), CHINESE, USUAL),
    Layout(
        "american", "Windows-style, month first", "11/20/2026 8:00:00 AM ERROR service stopped", at(0), AMERICAN, USUAL
    ),
    Layout(
        "american-bracketed",
        "The same in brackets",
        "[11/20/2026 8:00:00 PM] ERROR service stopped",
        at(1),
        AMERICAN,
        USUAL,
    ),
    Layout(
        "clock",
        "A time without a date: Logback's default, JBoss",
        "08:00:00.123 [main] INFO  org.example.Shop - paid",
        at(0),
        _CLOCK,
        USUAL,
    ),
    Layout("clock-bracketed", "The same in brackets: Serilog's console", "[08:00:00 INF] paid", at(1), _CLOCK, USUAL),
    Layout(
        "epoch", "Epoch seconds, milli-, micro- or nanoseconds", "1795161600.5 INFO tick", at(0), EpochFormat(), USUAL
    ),
    Layout(
        "python",
        "Python's logging without a format",
        "WARNING:shop.pay:card declined",
        at(0),
        None,
        templates=_templates("{level}:{logger}:"),
        strict=True,
    ),
    Layout(
        "level",
        "Only a level",
        "[ERROR] build failed",
        at(0),
        None,
        rf"^(?:\[(?P<level>{WORD})\]|(?P<bare>{WORD}):) ",
        before=True,
    ),
)

NAMES = {layout.name: layout for layout in LAYOUTS}


def detect(lines: pa.Array, observed_ns: int, zone: tzinfo) -> Layout | None:
    """Return the layout that fits most of these lines; the first of equals; None when none fits any."""
    best, most = None, 0
    text = Text.of(lines)
    seen: Seen = {}
    for layout in LAYOUTS:
        count = int(fits(layout, text, observed_ns, zone, seen).sum())
        if count > most:
            best, most = layout, count
        if most * 10 >= len(lines) * 9:
            break
    return best
