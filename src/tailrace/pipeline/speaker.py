"""speaker: who speaks in a line that came over syslog. A connection carries many machines and programs.

The head of a message (RFC 5424, RFC 3164) names host and program; they become the labels ``host`` and ``service`` of
its stream. A message without a host is its sender's, one without a program has no service.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.limits import LABEL_BYTES_MAX
from tailrace.record import Stream

_BSD = r"[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9})?(?: [A-Z]{2,5})?:?"
_ISO = r"\d{4}-\d\d-\d\dT[0-9:.+\-Z]{8,40}"
_TIME = rf"(?:{_BSD}|{_ISO}|-)"
_HEAD = rf"^<\d{{1,3}}>(?:\d{{1,2}} )?{_TIME} (?:(?P<host>[\w.\-]+) )?(?:(?P<service>[\w.\-/]+)(?:[\[:]|  ?\S))?"
_NIL = "-"


def speakers(lines: pa.Array, stream: Stream) -> tuple[list[int], list[Stream]]:
    """Return the code of each line and the streams that the codes name."""
    head = pc.extract_regex(lines, _HEAD)
    host = pc.fill_null(pc.struct_field(head, "host"), "")
    service = pc.fill_null(pc.struct_field(head, "service"), "")
    both = pc.binary_join_element_wise(host, service, "\t").dictionary_encode()
    streams: list[Stream] = []
    for pair in both.dictionary.to_pylist():
        named = [name if name != _NIL and len(name) <= LABEL_BYTES_MAX else "" for name in pair.split("\t")]
        labels = {"host": named[0] or stream.labels.get("host", ""), "service": named[1]}
        streams.append(Stream.of({**stream.labels, **labels}))
    codes = both.indices.to_numpy(zero_copy_only=False)
    return np.asarray(codes).tolist(), streams
