"""The names that grok patterns use, as RE2: which text each means, with an example that it takes.

A name may use others as ``%{NAME}``. RE2 has no look-around and no possessive repetition, so these are definitions of
our own for the names that people know; they take what the names say, in linear time.
"""

from __future__ import annotations

from collections.abc import Mapping

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_HEX = r"[0-9A-Fa-f]"

GROK: Mapping[str, tuple[str, str]] = {
    "USERNAME": (r"[\w.\-]+", "anna.b"),
    "USER": (r"%{USERNAME}", "root"),
    "EMAILLOCALPART": (r"[\w.!#$&'*+/=?^`{|}~\-]+", "anna+shop"),
    "EMAILADDRESS": (r"%{EMAILLOCALPART}@%{HOSTNAME}", "anna@example.org"),
    "INT": (r"[+\-]?\d+", "-17"),
    "BASE10NUM": (r"[+\-]?(?:\d+(?:\.\d*)?|\.\d+)", "3.25"),
    "NUMBER": (r"%{BASE10NUM}", "42"),
    "BASE16NUM": (rf"[+\-]?(?:0[xX])?{_HEX}+", "0xBEEF"),
    "POSINT": (r"[1-9]\d*", "8080"),
    "NONNEGINT": (r"\d+", "0"),
    "BOOLEAN": (r"(?i:true|false)", "true"),
    "WORD": (r"\b\w+\b", "GET"),
    "NOTSPACE": (r"\S+", "a=b;c"),
    "SPACE": (r"\s*", "  "),
    "DATA": (r".*?", "anything"),
    "GREEDYDATA": (r".*", "anything at all"),
    "QUOTEDSTRING": (r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)""", r'"say \"hi\""'),
    "QUOTEDTEXT": (r'(?:[^"\\]|\\.)*', r"say \"hi\""),
    "QS": (r"%{QUOTEDSTRING}", "'quoted'"),
    "UUID": (rf"{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}", "123e4567-e89b-12d3-a456-426614174000"),
    "URN": (r"urn:[0-9A-Za-z][0-9A-Za-z\-]{0,31}:\S+", "urn:isbn:0451450523"),
    "CISCOMAC": (rf"(?:{_HEX}{{4}}\.){{2}}{_HEX}{{4}}", "0011.2233.4455"),
    "WINDOWSMAC": (rf"(?:{_HEX}{{2}}-){{5}}{_HEX}{{2}}", "00-11-22-33-44-55"),
    "COMMONMAC": (rf"(?:{_HEX}{{2}}:){{5}}{_HEX}{{2}}", "00:11:22:33:44:55"),
    "MAC": (r"(?:%{CISCOMAC}|%{WINDOWSMAC}|%{COMMONMAC})", "aa:bb:cc:dd:ee:ff"),
    "IPV4": (rf"{_OCTET}(?:\.{_OCTET}){{3}}", "10.0.0.255"),
    "IPV6": (
        rf"(?:(?:{_HEX}{{1,4}}:){{7}}{_HEX}{{1,4}}|(?:{_HEX}{{1,4}}(?::{_HEX}{{1,4}})*)?::"
        rf"(?:{_HEX}{{1,4}}(?::{_HEX}{{1,4}})*(?::{_OCTET}(?:\.{_OCTET}){{3}})?|{_OCTET}(?:\.{_OCTET}){{3}})?)(?:%\w+)?",
        "2001:db8::ff00:42:8329",
    ),
    "IP": (r"(?:%{IPV6}|%{IPV4})", "10.1.2.3"),
    "HOSTNAME": (r"[0-9A-Za-z](?:[0-9A-Za-z_\-]{0,62})(?:\.[0-9A-Za-z_][0-9A-Za-z_\-]{0,62})*\.?", "web-1.example.org"),
    "IPORHOST": (r"(?:%{IP}|%{HOSTNAME})", "web-1"),
    "HOSTPORT": (r"%{IPORHOST}:%{POSINT}", "10.1.2.3:80"),
    "PORT": (r"\d{1,5}", "443"),
    "UNIXPATH": (r"(?:/[^\s/:,;]*)+", "/var/log/app.log"),
    "WINPATH": (r"(?:[A-Za-z]:|\\)(?:\\[^\\?*\s]*)+", r"C:\logs\app.log"),
    "PATH": (r"(?:%{UNIXPATH}|%{WINPATH})", "/etc/hosts"),
    "TTY": (r"/dev/(?:pts/\d+|tty\w*)", "/dev/pts/3"),
    "URIPROTO": (r"[A-Za-z][A-Za-z0-9+.\-]*", "https"),
    "URIHOST": (r"(?:\[%{IPV6}\]|%{IPORHOST})(?::%{PORT})?", "shop.example:8443"),
    "URIPATH": (r"(?:/[^\s?#]*)+", "/api/v1/items"),
    "URIPARAM": (r"\?[^\s#]*", "?page=2"),
    "URIQUERY": (r"[^\s#]*", "page=2"),
    "URIPATHPARAM": (r"%{URIPATH}(?:%{URIPARAM})?", "/cart?id=7"),
    "URI": (
        r"%{URIPROTO}://(?:%{USER}(?::[^@\s]*)?@)?(?:%{URIHOST})?(?:%{URIPATHPARAM})?(?:#\S*)?",
        "https://shop.example:8443/cart?id=7#top",
    ),
    "MONTH": (
        r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?|"
        r"Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)",
        "November",
    ),
    "MONTHNUM": (r"(?:1[0-2]|0?[1-9])", "11"),
    "MONTHNUM2": (r"(?:1[0-2]|0[1-9])", "01"),
    "MONTHDAY": (r"(?:3[01]|[12]\d|0?[1-9])", "20"),
    "DAY": (
        r"(?:Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)",
        "Friday",
    ),
    "YEAR": (r"\d{4}|\d{2}", "2026"),
    "HOUR": (r"(?:2[0-4]|[01]?\d)", "08"),
    "MINUTE": (r"[0-5]\d", "59"),
    "SECOND": (r"(?:60|[0-5]?\d)(?:[.,:]\d+)?", "07.250"),
    "TIME": (r"%{HOUR}:%{MINUTE}(?::%{SECOND})?", "08:00:00.123"),
    "DATE_US": (r"%{MONTHNUM}[/\-]%{MONTHDAY}[/\-]%{YEAR}", "11/20/2026"),
    "DATE_EU": (r"%{MONTHDAY}[./\-]%{MONTHNUM}[./\-]%{YEAR}", "20.11.2026"),
    "DATE": (r"(?:%{DATE_US}|%{DATE_EU})", "20.11.2026"),
    "DATESTAMP": (r"%{DATE}[ \-]%{TIME}", "20.11.2026 08:00:00"),
    "ISO8601_TIMEZONE": (r"(?:Z|[+\-]%{HOUR}(?::?%{MINUTE})?)", "+08:00"),
    "TZ": (r"[A-Z]{3,5}", "UTC"),
    "TIMESTAMP_ISO8601": (
        r"\d{4}-%{MONTHNUM}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?\s?%{ISO8601_TIMEZONE}?",
        "2026-11-20T08:00:00.123+08:00",
    ),
    "HTTPDATE": (r"%{MONTHDAY}/%{MONTH}/\d{4}:%{TIME} %{INT}", "20/Nov/2026:08:00:00 +0100"),
    "HTTPTIME": (r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+\-]\d{4}", "20/Nov/2026:08:00:00 +0100"),
    "DATESTAMP_RFC2822": (
        r"%{DAY}, %{MONTHDAY} %{MONTH} \d{4} %{TIME} %{ISO8601_TIMEZONE}",
        "Fri, 20 Nov 2026 08:00:00 +0100",
    ),
    "DATESTAMP_EVENTLOG": (r"\d{4}%{MONTHNUM2}%{MONTHDAY}%{HOUR}%{MINUTE}%{SECOND}", "20261120080000"),
    "SYSLOGTIMESTAMP": (r"%{MONTH} +%{MONTHDAY} %{TIME}", "Nov 20 08:00:00"),
    "HTTPDERROR_DATE": (r"%{DAY} %{MONTH} %{MONTHDAY} %{TIME} %{YEAR}", "Fri Nov 20 08:00:00 2026"),
    "PROG": (r"[^\s\[\]]+", "sshd"),
    "SYSLOGPROG": (r"%{PROG:app}(?:\[%{POSINT:pid:int}\])?", "sshd[19]"),
    "SYSLOGHOST": (r"%{IPORHOST}", "web-1"),
    "SYSLOGFACILITY": (r"<%{NONNEGINT}\.%{NONNEGINT}>", "<20.6>"),
    "SYSLOGBASE": (r"%{SYSLOGTIMESTAMP:time} %{SYSLOGHOST:hostname} %{SYSLOGPROG}:", "Nov 20 08:00:00 web-1 sshd[19]:"),
    "LOGLEVEL": (
        r"(?i:trace|debug|info(?:rmation)?|notice|warn(?:ing)?|err(?:or)?|crit(?:ical)?|severe|fatal|alert|"
        r"emerg(?:ency)?|panic)",
        "WARN",
    ),
    "JAVACLASS": (r"(?:[A-Za-z$_][\w$]*\.)*[A-Za-z$_][\w$]*", "org.example.Shop"),
    "JAVAFILE": (r"[\w $.\-]+", "Shop.java"),
    "JAVAMETHOD": (r"(?:<init>|<clinit>|[A-Za-z$_][\w$]*)", "pay"),
    "COMMONAPACHELOG": (
        r"%{NOTSPACE:client} \S+ %{NOTSPACE:user} \[%{HTTPTIME:time}\] "
        r'"(?:%{WORD:method} %{NOTSPACE:url}(?: %{NOTSPACE:protocol})?|%{DATA:request})" '
        r"%{INT:status:int} (?:%{INT:bytes:int}|-)",
        '10.0.0.1 - bob [20/Nov/2026:08:00:00 +0100] "GET / HTTP/1.1" 200 12',
    ),
    "COMBINEDAPACHELOG": (
        r'%{COMMONAPACHELOG} "%{QUOTEDTEXT:referer}" "%{QUOTEDTEXT:agent}"',
        '10.0.0.1 - bob [20/Nov/2026:08:00:00 +0100] "GET / HTTP/1.1" 200 - "-" "curl/8.5"',
    ),
    "HTTPD_COMMONLOG": (r"%{COMMONAPACHELOG}", '10.0.0.1 - - [20/Nov/2026:08:00:00 +0100] "-" 408 -'),
    "HTTPD_COMBINEDLOG": (
        r"%{COMBINEDAPACHELOG}",
        '10.0.0.1 - - [20/Nov/2026:08:00:00 +0100] "GET / HTTP/2.0" 304 0 "-" "Mozilla/5.0"',
    ),
}
