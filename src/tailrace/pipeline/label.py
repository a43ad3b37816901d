"""label: who is speaking. The service of a file without one comes from its path.

A service is the name of the innermost directory that is not about logs (``/var/log/nginx/access.log`` is nginx); a file
that lies in a log directory itself gives its own name without endings, dates and numbers (``/var/log/syslog.1`` is
syslog, ``/var/log/kern-20260102.log`` is kern). An entry may say which parts of the path are labels.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import re2

from tailrace.errors import ConfigError
from tailrace.limits import LABELS_MAX
from tailrace.record import Stream

_PLACES = re.compile(
    r"(?i)(?:|\.|~|logs?|var|tmp|temp|srv|opt|usr|local|home|root|state|share|lib|mnt|data|current|private|"
    r"output|archive|\.local|\.cache|\.config|run|\d+|[0-9a-f-]{32,})\Z"
)
_LOG_DIRECTORY = re.compile(r"(?i)logs?\Z")
_ENDINGS = re.compile(r"(?i)(?:[._-](?:\d[\d_T:-]*|logs?|txt|out|err|stdout|stderr|json|jsonl|ndjson|current))+\Z")


def service_of(path: str) -> str:
    """Return the service that a path names."""
    *directories, name = path.strip("/").split("/")
    stem = _ENDINGS.sub("", name) or name
    inner = directories[-1] if directories else ""
    if _LOG_DIRECTORY.match(inner) and len(directories) > 1 and _PLACES.match(directories[-2]):
        return stem
    if _LOG_DIRECTORY.match(inner) and len(directories) > 1:
        return directories[-2]
    at_home = len(directories) == 2 and directories[0] == "home"
    return stem if at_home or _PLACES.match(inner) else inner


def labelled(stream: Stream, labels_from: str = "") -> Stream:
    """Return the stream with the labels that its path gives, where it has none of that name.

    First come those of the named groups of ``labels_from``, then a service.
    """
    path = stream.labels.get("path")
    if path is None or ("service" in stream.labels and not labels_from):
        return stream
    found = pattern_of(labels_from).search(path) if labels_from else None
    named = {name: value for name, value in found.groupdict().items() if value} if found else {}
    return Stream.of({"service": service_of(path), **named, **stream.labels})


@lru_cache(maxsize=256)
def pattern_of(labels_from: str) -> Any:
    """Return the pattern, whose named groups are labels. Raises ConfigError."""
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(labels_from, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ConfigError(f"labels_from: RE2 does not take this: {reason}", cure="RE2 has no look-around.") from error
    if not pattern.groupindex:
        raise ConfigError("labels_from has no named group", cure="Like /data/(?P<team>[^/]+)/(?P<service>[^/]+)/")
    if len(pattern.groupindex) > LABELS_MAX:
        raise ConfigError(f"labels_from has more than {LABELS_MAX} named groups", cure="Fewer labels.")
    return pattern
