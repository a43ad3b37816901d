"""label: who is speaking. The service of a file without one comes from its path.

A service is the name of the innermost directory that is not about logs (``/var/log/nginx/access.log`` is nginx); a file
that lies in a log directory itself gives its own name without endings, dates and numbers (``/var/log/syslog.1`` is
syslog, ``/var/log/kern-20260102.log`` is kern).
"""

from __future__ import annotations

import re

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


def labelled(stream: Stream) -> Stream:
    """Return the stream with a service, when it has a path and no service yet."""
    path = stream.labels.get("path")
    if path is None or "service" in stream.labels:
        return stream
    return Stream.of({**stream.labels, "service": service_of(path)})
