"""The sections of the configuration: every key, what it means, and what it is when nobody says.

The descriptions are the reference (docs/reference/configuration.md is made from them).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from tailrace.collect import entries
from tailrace.collect.entries import Rule, Wish
from tailrace.errors import ConfigError
from tailrace.limits import SPOOL_BYTES, TAILS_MAX, TOKEN_TAILS_MAX
from tailrace.lines import Mask

if TYPE_CHECKING:
    from tailrace.bus.brokers import Brokers
    from tailrace.store.elastic.client import Access

REDIS_PASSWORD = "TAILRACE_REDIS_PASSWORD"  # noqa: S105 - the name of a variable


class Data(Struct, forbid_unknown_fields=True):
    """Where everything is kept."""

    directory: Annotated[
        str, Meta(description="Bus, parts and tokens live here. Empty: `$XDG_DATA_HOME/tailrace`.")
    ] = ""


class Server(Struct, forbid_unknown_fields=True):
    """Who can reach the server."""

    listen: Annotated[
        str, Meta(description="HOST:PORT. Another address than loopback needs a token (`tailrace token add`).")
    ] = "127.0.0.1:7800"
    hosts: Annotated[
        list[str], Meta(description="Names under which browsers may reach it, besides localhost and IP addresses.")
    ] = []
    insecure: Annotated[bool, Meta(description="Serve everybody who can reach the address, without a token.")] = False


class Store(Struct, forbid_unknown_fields=True):
    """How long records stay."""

    retain: Annotated[str, Meta(description="Parts whose newest record is older are deleted.")] = "30d"
    retain_bytes: Annotated[str, Meta(description="When the parts are larger, the oldest are deleted.")] = "20 GB"


class Collect(Struct, forbid_unknown_fields=True):
    """What `tailrace up` follows."""

    paths: Annotated[list[str], Meta(description="Files, directories or globs to follow, from their beginning.")] = []
    discover: Annotated[bool, Meta(description="Find the logs of this machine when no path is named.")] = True
    exclude: Annotated[
        list[str], Meta(description="What is never followed: directories with all below them, or patterns of paths.")
    ] = []
    allow: Annotated[
        list[str], Meta(description="Follow only what really lies below these directories. Empty: wherever it lies.")
    ] = []
    start: Annotated[
        str,
        Meta(description="`beginning`, `end` or a size from the end. Empty: named files whole, 10 MB of found ones."),
    ] = ""
    host: Annotated[str, Meta(description="The host label of what is collected. Empty: this machine's name.")] = ""
    syslog: Annotated[
        list[str], Meta(description="Receive syslog: `udp://HOST:PORT`, `tcp://HOST:PORT`, `tls://HOST:PORT`.")
    ] = []
    syslog_cert: Annotated[str, Meta(description="The certificate of syslog over TLS, a PEM file.")] = ""
    syslog_key: Annotated[str, Meta(description="Its key, a PEM file.")] = ""
    journal: Annotated[
        bool, Meta(description="Follow the systemd journal (done by itself where logs are discovered).")
    ] = False
    demo: Annotated[bool, Meta(description="Write the logs of three invented services and follow them.")] = False
    entries: Annotated[
        list[Wish], Meta(description="What to follow and how; see below. The first that fits wins.")
    ] = []
    redact: Annotated[
        list[str],
        Meta(
            description="What is masked of all that is taken in, pushes too: `secrets`, `personal`, names of rules "
            "(`tailrace redact --list`), own too. What an entry says goes before it."
        ),
    ] = []
    rules: Annotated[dict[str, Rule], Meta(description="Own rules of redaction, by name.")] = {}

    @property
    def masks(self) -> tuple[str | Mask, ...]:
        """What ``redact`` means to the pipeline."""
        return entries.masks(self.redact, self.rules)


class Kafka(Struct, forbid_unknown_fields=True):
    """The Kafka that agents ship to, and that servers and indexers read."""

    brokers: Annotated[list[str], Meta(description="HOST:PORT of some of its brokers. Empty: there is no Kafka.")] = []
    topics: Annotated[
        list[str],
        Meta(description="The topics that servers and indexers read: names, and patterns that begin with `^` (RE2)."),
    ] = msgspec.field(default_factory=lambda: ["tailrace"])
    tls: Annotated[bool, Meta(description="Reach the brokers with TLS.")] = False
    ca_file: Annotated[str, Meta(description="The authorities (PEM) they are verified with. Empty: the system's.")] = ""
    cert_file: Annotated[str, Meta(description="The certificate that is shown to them (PEM). Empty: none.")] = ""
    key_file: Annotated[str, Meta(description="Its key (PEM).")] = ""
    mechanism: Annotated[
        str, Meta(description="How SASL lets in: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`. Empty: no SASL.")
    ] = ""
    user: Annotated[str, Meta(description="The user of SASL.")] = ""
    password_file: Annotated[
        str, Meta(description="A file with the user's password. Empty: $TAILRACE_KAFKA_PASSWORD.")
    ] = ""
    partitions: Annotated[int, Meta(ge=1, description="Partitions of a topic that is made.")] = 12
    replication: Annotated[int, Meta(ge=1, description="Copies of a topic that is made.")] = 1
    aliases: Annotated[
        dict[str, str],
        Meta(description='Other names of topics, for people who look at them: `{orders = "prod.orders"}`.'),
    ] = {}

    @property
    def cluster(self) -> Brokers:
        """How the brokers are reached. Raises ConfigError."""
        from tailrace.bus.brokers import Brokers  # only who has a Kafka pays for it

        return Brokers(
            tuple(self.brokers),
            tls=self.tls,
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            mechanism=self.mechanism,
            user=self.user,
            password_file=self.password_file,
        )


class Agent(Struct, forbid_unknown_fields=True):
    """Where `tailrace agent` ships to."""

    listen: Annotated[
        str, Meta(description="HOST:PORT where it answers how it is (`tailrace status`, `/metrics`). Empty: nowhere.")
    ] = ""
    servers: Annotated[list[str], Meta(description="Addresses; each gets everything, and none waits for another.")] = []
    token_file: Annotated[
        str, Meta(description="A file with the token for them, read for every call. Empty: $TAILRACE_TOKEN.")
    ] = ""
    ca_file: Annotated[
        str, Meta(description="The authorities (PEM) that https servers are verified with. Empty: the system's.")
    ] = ""
    spool: Annotated[
        str, Meta(description="So much waits on this disk for servers that are away; then reading stops.")
    ] = SPOOL_BYTES

    topic: Annotated[
        str,
        Meta(
            description="The topic of Kafka. `{service}` `{host}` `{path}` and other labels are filled in; a label "
            "`topic`, which is what `topic` of an entry sets, wins."
        ),
    ] = "tailrace"
    partition_by: Annotated[
        str,
        Meta(
            description="`stream`: all lines of a file keep their order. `spread`: evenly, in no order. Or the name of "
            "a label or field, whose equal values keep theirs."
        ),
    ] = "stream"
    acks: Annotated[
        str,
        Meta(
            description="When Kafka has a line: `all` replicas in sync have it, `1`: the leader has, `0`: it is sent."
        ),
    ] = "all"
    compression: Annotated[str, Meta(description="`zstd`, `lz4`, `gzip`, `snappy` or `none`.")] = "zstd"


class Quota(Struct, forbid_unknown_fields=True):
    """How much one token may take, and all together (`_total`). 0: without a limit."""

    tails: Annotated[int, Meta(ge=0, description="Tails that one token has open.")] = TOKEN_TAILS_MAX
    tails_total: Annotated[int, Meta(ge=0, description="Open tails.")] = TAILS_MAX
    lines_per_s: Annotated[
        int, Meta(ge=0, description="Lines a second that the tails of one token are sent; five seconds' worth at once.")
    ] = 500_000
    lines_per_s_total: Annotated[int, Meta(ge=0, description="Lines a second that all tails are sent.")] = 0
    bytes_per_s: Annotated[str, Meta(description="Bytes a second that the tails of one token are sent.")] = "200 MB"
    bytes_per_s_total: Annotated[str, Meta(description="Bytes a second that all tails are sent.")] = "0"
    search_s_per_min: Annotated[
        int, Meta(ge=0, description="Seconds of the four search threads that one token may take in a minute.")
    ] = 180
    search_s_per_min_total: Annotated[
        int, Meta(ge=0, description="Seconds of the search threads that all may take in a minute.")
    ] = 0


class Index(Struct, forbid_unknown_fields=True):
    """How `tailrace index` runs; what it reads and writes stands in [kafka] and [elastic]."""

    listen: Annotated[
        str, Meta(description="HOST:PORT where it answers how it is (`tailrace status`, `/metrics`). Empty: nowhere.")
    ] = ""


class Elastic(Struct, forbid_unknown_fields=True):
    """The Elasticsearch or OpenSearch cluster that keeps the records of many machines."""

    urls: Annotated[
        list[str], Meta(description="Its nodes, like `https://es-1:9200`; the others are asked when one fails.")
    ] = []
    user: Annotated[str, Meta(description="The user, for basic authentication.")] = ""
    password_file: Annotated[str, Meta(description="A file with the user's password.")] = ""
    api_key_file: Annotated[str, Meta(description="A file with an API key (the encoded form), instead of a user.")] = ""
    ca_file: Annotated[
        str, Meta(description="The authorities (PEM) that it is verified with. Empty: the system's.")
    ] = ""
    index: Annotated[
        str, Meta(description="Its indices are called `INDEX-2026.11.20`, and all of them have the alias `INDEX`.")
    ] = "tailrace"
    shards: Annotated[int, Meta(ge=1, le=1024, description="Primary shards of an index of one day.")] = 1
    replicas: Annotated[int, Meta(ge=0, le=32, description="Copies of each.")] = 1
    compress: Annotated[
        bool, Meta(description="Send requests with gzip: an eighth of the bytes for 3 to 6 microseconds of CPU a line.")
    ] = False

    @property
    def access(self) -> Access:
        """How the cluster is entered. Raises ConfigError."""
        from tailrace.store.elastic.client import Access  # only who has a cluster pays for it

        return Access(self.urls, self.user, self.password_file, self.api_key_file, self.ca_file, self.compress)


class Redis(Struct, forbid_unknown_fields=True):
    """Where several servers share the section [quota], so that who may have 100 has 100 of all of them."""

    url: Annotated[
        str,
        Meta(
            description="`redis://HOST:6379/0`, over TLS `rediss://HOST:6380/0`. Empty: the quotas are this server's."
        ),
    ] = ""
    user: Annotated[str, Meta(description="The ACL user. Empty: the default one.")] = ""
    password_file: Annotated[
        str, Meta(description=f"A file with the password, read for each connection. Empty: ${REDIS_PASSWORD}.")
    ] = ""
    ca_file: Annotated[
        str, Meta(description="The authorities (PEM) that Redis is verified with. Empty: the system's.")
    ] = ""
    prefix: Annotated[str, Meta(description="What all keys begin with.")] = "tailrace:"
    when_gone: Annotated[
        str,
        Meta(description="Without Redis: `local`, each server has the whole quota; `refuse`, nobody is let in."),
    ] = "local"

    def password(self) -> str:
        """Return the password that is in force now, empty for none. Raises OSError."""
        if not self.password_file:
            return os.environ.get(REDIS_PASSWORD, "")
        return Path(self.password_file).read_text("utf-8").strip()

    def check(self) -> None:
        """Raise ConfigError for what makes no sense."""
        if self.when_gone not in ("local", "refuse"):
            raise ConfigError(f"redis.when_gone: {self.when_gone!r} is no choice", cure="Write local or refuse.")
        if "@" in self.url:
            raise ConfigError(
                "redis.url holds a user or a password, which would be seen wherever it is shown",
                cure=f"Put the user into redis.user, the password into redis.password_file or ${REDIS_PASSWORD}.",
            )
        if self.url and not re.fullmatch(r"(rediss?://[^/?#]+(/\d*)?|unix:///[^?#]+(\?db=\d+)?)", self.url):
            raise ConfigError(f"redis.url: {self.url!r} is no address", cure="Write redis://HOST:6379/0.")
