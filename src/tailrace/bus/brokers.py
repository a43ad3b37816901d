"""Brokers: how a Kafka cluster is reached, and what is asked of it besides records.

The client is librdkafka (the extra ``kafka``). It looks for brokers that are away by itself, for ever; what it has to
say about that is kept as one sentence, the same as long as nothing changes, since problems are told when their sentence
is another. It goes on with the password that it was made with. Only who asks for a ``member`` joins a consumer group
and commits offsets.

A partition is a log. Its epoch is the first 8 bytes, big-endian, of the SHA-256 of ``<topic id>/<partition>``: the same
for everybody, and another one when a topic of the same name is made anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tailrace.errors import Away, ConfigError
from tailrace.limits import KAFKA_CALL_S_MAX, KAFKA_FETCH_BYTES, KAFKA_FETCH_WAIT_MS, KAFKA_RETRY_MS_MAX

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient

C = TypeVar("C", "AdminClient", "Consumer")

_AGAIN_S = 0.1
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class Brokers:
    """Where a cluster is, and how one is let in; files are named, because their content may change."""

    addresses: tuple[str, ...]
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    mechanism: str = ""
    user: str = ""
    password_file: str = ""

    def __post_init__(self) -> None:
        """Raise ConfigError for what cannot be meant."""
        for address in self.addresses:
            host, colon, port = address.rpartition(":")
            if not colon or not host or not port.isdigit() or not 0 < int(port) < 65_536 or "," in address:
                raise ConfigError(
                    f"{address!r} is not the address of a broker", cure="Write HOST:PORT, like kafka:9092."
                )
        if self.mechanism and self.mechanism not in _MECHANISMS:
            raise ConfigError(
                f"kafka.mechanism: there is no {self.mechanism!r}", cure=f"One of {' '.join(_MECHANISMS)}."
            )
        if bool(self.mechanism) != bool(self.user):
            raise ConfigError("kafka.mechanism and kafka.user go together", cure="Name both, or none.")
        if bool(self.cert_file) != bool(self.key_file):
            raise ConfigError("kafka.cert_file and kafka.key_file go together", cure="Name both, or none.")

    @property
    def name(self) -> str:
        """What it is called for people."""
        return f"kafka://{','.join(self.addresses)}"

    @property
    def exposed(self) -> bool:
        """Whether what is sent leaves this machine so that others can read it."""
        hosts = [address.rpartition(":")[0].strip("[]") for address in self.addresses]
        return not self.tls and not all(host in ("localhost", "::1") or host.startswith("127.") for host in hosts)

    def settings(self) -> dict[str, Any]:
        """Return what every client needs. Raises Away: the password cannot be read."""
        found: dict[str, Any] = {
            "bootstrap.servers": ",".join(self.addresses),
            "client.id": "tailrace",
            "security.protocol": ("sasl_" if self.user else "") + ("ssl" if self.tls else "plaintext"),
            "allow.auto.create.topics": False,
            "reconnect.backoff.max.ms": KAFKA_RETRY_MS_MAX,
            "socket.keepalive.enable": True,
            "log_level": 0,
        }
        for key, file in (("ca", self.ca_file), ("certificate", self.cert_file), ("key", self.key_file)):
            if file and self.tls:
                found[f"ssl.{key}.location"] = file
        if self.user:
            found |= {"sasl.mechanism": self.mechanism, "sasl.username": self.user, "sasl.password": self._password()}
        return found

    def _password(self) -> str:
        if not self.password_file:
            return os.environ.get("TAILRACE_KAFKA_PASSWORD", "")
        try:
            return Path(self.password_file).read_text("utf-8").strip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Away(
                f"the password cannot be read: {self.password_file}", cure="Check kafka.password_file."
            ) from error

    def admin(self) -> Asker[AdminClient]:
        """Return who asks about topics. Raises ConfigError, Away."""
        from confluent_kafka.admin import AdminClient

        heard = _Heard()
        return Asker(self._made(AdminClient, heard, {}), heard)

    def onlooker(self, group: str) -> Asker[Consumer]:
        """Return who asks how far a consumer group is, without being part of it. Raises ConfigError, Away.

        An admin could ask that, too, and ends the process when the broker that knew it hands the group on: it
        dereferences the group that only a consumer has (seen with librdkafka 2.16; its issue 5397).
        """
        from confluent_kafka import Consumer

        heard = _Heard()
        return Asker(self._made(Consumer, heard, {"group.id": group, "enable.auto.commit": False}), heard)

    def consumer(self, said: Callable[[str], None]) -> Consumer:
        """Return a client that reads what it is assigned to, and tells ``said`` what is wrong; it belongs to no group.

        Raises ConfigError, Away.
        """
        from confluent_kafka import Consumer

        return self._made(
            Consumer,
            _Heard(said),
            {
                "group.id": f"tailrace-{secrets.token_hex(8)}",  # librdkafka wants a name; it is never told to a broker
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": KAFKA_FETCH_WAIT_MS,
                "fetch.queue.backoff.ms": KAFKA_FETCH_WAIT_MS,
                "fetch.error.backoff.ms": KAFKA_FETCH_WAIT_MS,
                "fetch.message.max.bytes": KAFKA_FETCH_BYTES,
                "queued.max.messages.kbytes": 2 * KAFKA_FETCH_BYTES // 1024,
            },
        )

    def member(self, said: Callable[[str], None], group: str, settings: Mapping[str, Any]) -> Consumer:
        """Return a client that reads as a member of a consumer group once it subscribes; it commits nothing by itself.

        ``settings`` are more of librdkafka's. Raises ConfigError, Away.
        """
        from confluent_kafka import Consumer

        own = {"group.id": group, "enable.auto.commit": False, "isolation.level": "read_committed"}
        return self._made(Consumer, _Heard(said), {**own, **settings})

    def producer(self, said: Callable[[str], None], more: Mapping[str, Any]) -> Producer:
        """Return a client that writes; ``more`` are settings of librdkafka. Raises ConfigError, Away."""
        from confluent_kafka import Producer

        return self._made(Producer, _Heard(said), more)

    def _made(self, kind: Any, heard: _Heard, more: Mapping[str, Any]) -> Any:
        from confluent_kafka import KafkaException

        try:
            return kind({**self.settings(), "error_cb": heard, **more})
        except KafkaException as error:  # a file of TLS that cannot be read, mostly
            raise ConfigError(
                f"Kafka cannot be used as it is set up: {sentence(error)}", cure="Check [kafka]."
            ) from error


def check_extra() -> None:
    """Raise ConfigError when the client is not installed."""
    try:
        import confluent_kafka  # noqa: F401
    except ImportError as error:
        raise ConfigError("Kafka needs the extra `kafka`", cure="Install it: pip install 'tailrace[kafka]'") from error


class _Heard:
    """What a client tells of its brokers, from within its polls."""

    def __init__(self, said: Callable[[str], None] = lambda _: None) -> None:
        self.refused = ""
        """Why brokers do not let us in, when that was the last that was wrong."""
        self._said = said

    def __call__(self, error: Any) -> None:
        """Take an error of the client."""
        if error.code() in _CURES:  # which broker it was does not matter, and would be another sentence for each
            self.refused = _BROKER.sub("", sentence(error)) + _CURES[error.code()]
        elif error.code() != _ALL_DOWN:
            self.refused = ""
        self._said(self.refused or sentence(error))


class Asker(Generic[C]):
    """Has a client that is used for questions only, so that nobody polls it. It ends when nobody knows it any more."""

    def __init__(self, client: C, heard: _Heard) -> None:
        """Take a client, and what hears it."""
        self._client = client
        self._heard = heard

    @contextmanager
    def asking(self) -> Iterator[C]:
        """Give the client; who it asks in vain is Away, for the reason that the client knows."""
        from confluent_kafka import KafkaException

        try:
            yield self._client
        except (KafkaException, TimeoutError) as error:
            self._client.poll(0)  # which is when the client tells what is behind it
            why = self._heard.refused or (sentence(error) if error.args else "the brokers do not answer")
            cure = "It is tried again and again; check kafka.brokers and the brokers."
            raise Away(f"Kafka: {why}", cure=cure) from error
        self._client.poll(0)
        self._heard.refused = ""


def sentence(error: Any) -> str:
    """Return what an error of the client says, without what is another number each time."""
    inner = error.args[0] if isinstance(error, Exception) and error.args else error
    text = inner.str() if hasattr(inner, "str") else str(inner)  # type: ignore[union-attr]
    return _AFTER.sub("", text)[:300] or str(inner)


_AUTHENTICATION, _SSL, _ALL_DOWN = -169, -181, -187  # of librdkafka (rdkafka.h)
_CURES = {_AUTHENTICATION: "; check kafka.user, kafka.mechanism and the password", _SSL: "; check kafka.ca_file"}
_BROKER = re.compile(r"^\w+://\S+: ")
_AFTER = re.compile(r" \(after \d+ms in state \w+(, \d+ identical error\(s\) suppressed)?\)")


def epoch_of(topic_id: str, partition: int) -> int:
    """Return the epoch of a partition."""
    digest = hashlib.sha256(f"{topic_id}/{partition}".encode()).digest()
    return int.from_bytes(digest[:8], "big") or 1


@dataclass(frozen=True, slots=True)
class Place:
    """A partition of a topic."""

    topic: str
    number: int


def topic_names(admin: Asker[AdminClient]) -> list[str]:
    """Return all topics that there are, as far as we may see them. Raises Away."""
    with admin.asking() as client:
        return list(client.list_topics(timeout=KAFKA_CALL_S_MAX).topics)


def places(admin: Asker[AdminClient], topics: Iterable[str]) -> dict[int, Place]:
    """Return the partitions that topics have now, by their epochs; a topic that is not there has none. Raises Away."""
    from confluent_kafka import KafkaError, KafkaException, TopicCollection

    found: dict[int, Place] = {}
    wanted = sorted(set(topics))
    with admin.asking() as client:
        asked = client.describe_topics(TopicCollection(wanted), request_timeout=KAFKA_CALL_S_MAX)
        for topic in wanted:
            try:
                known = asked[topic].result(KAFKA_CALL_S_MAX + 1)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue
                raise
            for partition in known.partitions:
                found[epoch_of(str(known.topic_id), partition.id)] = Place(topic, partition.id)
    return found


def offsets(admin: Asker[AdminClient], wanted: Mapping[int, Place], spec: Any) -> dict[int, int]:
    """Return an offset of each partition: the one that ``spec`` (an OffsetSpec) means, -1 for none. Raises Away.

    While the leader of a partition moves it is asked again, for KAFKA_CALL_S_MAX.
    """
    from confluent_kafka import OFFSET_INVALID, KafkaException

    deadline = time.monotonic() + KAFKA_CALL_S_MAX
    with admin.asking() as client:
        while wanted:
            try:
                found = _offsets(client, wanted, spec)
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise
            else:
                unknown = [place for epoch, place in wanted.items() if found[epoch] == OFFSET_INVALID]
                if not unknown:  # the client has no error for a partition without a leader, and no offset either
                    return found
                if time.monotonic() > deadline:
                    raise Away(
                        f"Kafka: partition {unknown[0].number} of {unknown[0].topic} has no leader",
                        cure="It is tried again and again.",
                    )
            time.sleep(_AGAIN_S)
    return {}


def _offsets(admin: AdminClient, wanted: Mapping[int, Place], spec: Any) -> dict[int, int]:
    from confluent_kafka import IsolationLevel, TopicPartition

    asked = admin.list_offsets(
        {TopicPartition(place.topic, place.number): spec for place in wanted.values()},
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=KAFKA_CALL_S_MAX,
    )
    answers = {(one.topic, one.partition): answer for one, answer in asked.items()}
    return {e: answers[one.topic, one.number].result(KAFKA_CALL_S_MAX + 1).offset for e, one in wanted.items()}


def committed(onlooker: Asker[Consumer], wanted: Mapping[int, Place]) -> dict[int, int]:
    """Return how far the group of an onlooker has committed each partition. Raises Away.

    A partition that was not come to is left out.
    """
    from confluent_kafka import KafkaException, TopicPartition

    if not wanted:
        return {}
    asked = [TopicPartition(one.topic, one.number) for one in wanted.values()]
    with onlooker.asking() as client:
        known = client.committed(asked, timeout=KAFKA_CALL_S_MAX)
        failed = [one.error for one in known if one.error is not None]
        if failed:
            raise KafkaException(failed[0])
    found = {Place(one.topic, one.partition): one.offset for one in known if one.offset >= 0}
    return {epoch: found[place] for epoch, place in wanted.items() if place in found}
