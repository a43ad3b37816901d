"""What goes wrong in a deployment: each fault begins when it is called, says what it is, and how it ends."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

from confluent_kafka import ElectionType, KafkaException

from tests.apps.cluster.deployment import Deployment
from tests.servers.proxy import Proxy

End = Callable[[], None]
Fault = Callable[[Deployment, random.Random], tuple[str, End]]

_CUT_OFF = ("hole", "forget", "stall", "refuse", "cut")
_SLOW = ("late", "narrow")


def _answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_BUSY = _answer(
    "429 Too Many Requests", b'{"error":{"type":"rejected_execution_exception","reason":"busy"},"status":429}'
)
_UNAVAILABLE = _answer("503 Service Unavailable", b"<html>no backend</html>")
_READ_ONLY = "index.blocks.read_only_allow_delete"


def _killed(part: Any, chance: random.Random) -> tuple[str, End]:
    """Kill, halt or, more rarely, end a program in order."""
    how = chance.choice(["kill", "kill", "pause", "stop"])
    getattr(part, how)()
    return f"{how} {part.name}", part.go_on if how == "pause" else part.start


def _cut_off(name: str, proxy: Proxy, chance: random.Random) -> tuple[str, End]:
    mode = chance.choice([*_CUT_OFF, *_SLOW])
    proxy.turn(mode)
    return f"{mode} {name}", lambda: proxy.turn("pass")


def broker(deployment: Deployment, chance: random.Random) -> tuple[str, End]:
    """A broker dies, hangs longer than its session lasts, or is restarted: what it led others lead."""
    return _killed(chance.choice(deployment.kafka.brokers), chance)


def leaders(deployment: Deployment, chance: random.Random) -> tuple[str, End]:
    """Leaders move while all brokers run: first away by a restart, then back by an election."""
    one = chance.choice(deployment.kafka.brokers)
    one.stop()
    one.start()

    def elect() -> None:
        with contextlib.suppress(KafkaException):  # what its first replica cannot lead now is led by another
            deployment.admin.elect_leaders(ElectionType.PREFERRED).result(40)

    return f"leaders away from and back to {one.name}", elect


def way_to_brokers(deployment: Deployment, chance: random.Random) -> tuple[str, End]:
    """The network between some brokers and half of the programs is cut, slow or half-open; brokers reach each other."""
    proxies = chance.sample(deployment.kafka.proxies, chance.choice([1, 3]))
    mode = chance.choice([*_CUT_OFF, *_SLOW])
    for proxy in proxies:
        proxy.turn(mode)

    def end() -> None:
        for proxy in proxies:
            proxy.turn("pass")

    return f"{mode} {len(proxies)} brokers", end


def way_to_search(deployment: Deployment, chance: random.Random) -> tuple[str, End]:
    return _cut_off("OpenSearch", deployment.ways["OpenSearch"], chance)


def busy_search(deployment: Deployment, chance: random.Random) -> tuple[str, End]:
    """OpenSearch takes nothing, by its own word or by that of the balancer before it."""
    proxy, answer = deployment.ways["OpenSearch"], chance.choice([_BUSY, _UNAVAILABLE])
    proxy.turn(answer)
    return f"OpenSearch answers {answer[9:12].decode()}", lambda: proxy.turn("pass")


def read_only_search(deployment: Deployment, _: random.Random) -> tuple[str, End]:
    """Its disk is nearly full."""

    def block(on: bool | None) -> None:
        path = f"/{deployment.index}-*/_settings?ignore_unavailable=true"
        status, said = deployment.search.call("PUT", path, {_READ_ONLY: on})
        assert status in (200, 404), said  # there may be no index yet

    block(True)
    return "OpenSearch is read-only", lambda: block(None)


def search(deployment: Deployment, chance: random.Random) -> tuple[str, End]:
    return _killed(deployment.search, chance)


def program(deployment: Deployment, chance: random.Random) -> tuple[str, End]:
    """A server, an indexer or an agent dies, hangs or is restarted; tails find the other server."""
    part = chance.choice(deployment.parts)
    said, end = _killed(part, chance)
    deployment.steer()

    def ended() -> None:
        end()
        deployment.steer()

    return said, ended


def etcd(deployment: Deployment, chance: random.Random) -> tuple[str, End]:
    """etcd dies or is cut off, and when it is back says something else, with its history gone."""
    if chance.random() < 0.5:
        said, end = _killed(deployment.etcd, chance)
    else:
        said, end = _cut_off("etcd", deployment.ways["etcd"], chance)

    def ended() -> None:
        end()
        deployment.tell(chance.choice(["one", "two"]), f"/nowhere/{chance.randrange(100)}.log")
        deployment.etcd.compact()

    return said, ended


def redis(deployment: Deployment, chance: random.Random) -> tuple[str, End]:
    if chance.random() < 0.5:
        return _killed(deployment.redis, chance)
    return _cut_off("Redis", deployment.ways["Redis"], chance)


def wires(deployment: Deployment, chance: random.Random) -> tuple[str, End]:
    """Who watches loses the connection, or hears nothing any more, and comes back to any of the servers."""
    some = chance.sample(deployment.tails, 2)
    mode = chance.choice([*_CUT_OFF, *_SLOW])
    for tail in some:
        tail.wire.turn(mode)
        tail.move(chance.choice([server for server in deployment.servers if server.alive]))

    def end() -> None:
        for tail in some:
            tail.wire.turn("pass")

    return f"{mode} {' '.join(tail.name for tail in some)}", end


FAULTS: dict[str, Fault] = {
    "broker": broker,
    "leaders": leaders,
    "way to brokers": way_to_brokers,
    "way to search": way_to_search,
    "busy search": busy_search,
    "read-only search": read_only_search,
    "search": search,
    "program": program,
    "etcd": etcd,
    "redis": redis,
    "wires": wires,
}
OWN_SEARCH = "search"
"""Only who has an OpenSearch of its own may break it."""
WEIGHTS = {"broker": 2, "program": 5}
