"""The index template: how the cluster keeps documents, the same on both servers.

Kibana and Dashboards find what they know: ``@timestamp`` in nanoseconds, ``message`` as text (their own way of cutting
words, so KQL works as usual), the names of Elastic's schema as keywords. What a line brings beyond that can neither
grow the mapping nor make a document fail: nothing is mapped dynamically, ``fields`` is kept and shown but not indexed,
and search has its own two fields of text (``terms.py``).

A time that ``date_nanos`` cannot hold (before 1970) is left out of ``@timestamp`` alone; searches use
``tailrace.time``.
"""

from __future__ import annotations

from typing import Any

from tailrace.bus.message import LABEL_NAMES
from tailrace.limits import ELASTIC_STREAM_CHARS_MAX
from tailrace.store.elastic.client import Client, Server

_KEYWORD = {"type": "keyword", "ignore_above": 1_024}
_MOMENT = {"type": "date_nanos", "ignore_malformed": True}
_NUMBER = {"type": "long"}
_CUT_BY_US = {"type": "text", "analyzer": "whitespace", "norms": False}


def template(prefix: str, server: Server, *, shards: int, replicas: int) -> dict[str, Any]:
    """Return the template of the indices ``<prefix>-*``, all of which are behind the alias ``<prefix>``."""
    return {
        "index_patterns": [f"{prefix}-*"],
        "priority": 200,
        "template": {
            "settings": {
                "number_of_shards": shards,
                "number_of_replicas": replicas,
                "codec": "best_compression",
                "refresh_interval": "10s",  # a search refreshes when it has to
            },
            "aliases": {prefix: {}},
            "mappings": {
                "dynamic": False,
                "_source": {"excludes": ["tailrace.words", "tailrace.terms"]},
                "properties": {
                    "@timestamp": _MOMENT,
                    "event.created": _MOMENT,
                    "message": {"type": "text", "norms": False},
                    "log.level": _KEYWORD,
                    **dict.fromkeys(LABEL_NAMES.values(), _KEYWORD),
                    "trace.id": _KEYWORD,
                    "log.offset": {**_NUMBER, "index": False},
                    # Names of labels are few and their values short, but nobody knows the names.
                    "labels": {"type": "flat_object" if server.opensearch else "flattened"},
                    "fields": {"type": "object", "enabled": False},
                    "tailrace": {
                        "properties": {
                            "time": _NUMBER,
                            "observed": _NUMBER,
                            "epoch": {"type": "keyword"},
                            "offset": _NUMBER,
                            "stream": {"type": "keyword", "ignore_above": ELASTIC_STREAM_CHARS_MAX},
                            "words": _CUT_BY_US,
                            "terms": {**_CUT_BY_US, "index_options": "docs"},
                        }
                    },
                },
            },
        },
    }


def install(client: Client, prefix: str, *, shards: int, replicas: int) -> None:
    """Write the template; indices that exist keep theirs."""
    client.put_template(prefix, template(prefix, client.server(), shards=shards, replicas=replicas))
