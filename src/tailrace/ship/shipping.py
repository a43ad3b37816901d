"""All outputs of one agent, HTTP servers and a Kafka: what every one of them has taken leaves the spool.

The outputs may change while it runs. One that is new begins where its server says it is, or with the oldest that the
spool has. One that is taken away holds nothing back any more; a call of it that is under way is left to itself, and
should it come back later, its server says what it got. Without any output everything stays in the spool.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tailrace.bus.disk import DiskBus
from tailrace.limits import SHIP_DRAIN_S_MAX, SHIP_END_S_MAX
from tailrace.ship.connection import Server
from tailrace.ship.dead import DeadLetters
from tailrace.ship.output import Output, OutputStatus

if TYPE_CHECKING:
    from tailrace.ship.kafka import Cluster, KafkaOutput

_LOOK_S = 0.02
_NAME_CHARACTERS_MAX = 200


class Shipping:
    """The outputs of one bus."""

    def __init__(self, bus: DiskBus, directory: Path, *, host: str) -> None:
        """Keep in ``directory`` what no server wants."""
        self._bus = bus
        self._directory = directory
        self._host = host
        self._outputs: dict[Server | Cluster, Output | KafkaOutput] = {}
        self._changing = threading.Lock()

    def change(self, servers: Sequence[Server | Cluster]) -> None:
        """Ship to these from now on. Raises DataError."""
        with self._changing:
            kept = {server: output for server, output in self._outputs.items() if server in servers}
            added: list[Output | KafkaOutput] = []
            for server in dict.fromkeys(servers):
                if server not in kept:
                    kept[server] = self._made(server)
                    added.append(kept[server])
            gone = [output for server, output in self._outputs.items() if server not in kept]
            self._outputs = kept
        for output in gone:
            output.stop()
        for output in added:
            output.start()

    def _made(self, server: Server | Cluster) -> Output | KafkaOutput:
        dead = DeadLetters(self._directory / f"{_name(server.url)}.ndjson")
        if isinstance(server, Server):
            return Output(self._bus, server, dead, host=self._host, on_taken=self._release)
        from tailrace.ship.kafka import KafkaOutput  # only who has a Kafka pays for it

        file = self._directory.with_name("kafka") / f"{_name(server.url)}.json"
        return KafkaOutput(self._bus, server, dead, file, on_taken=self._release)

    def stop(self, drain_s: float = SHIP_DRAIN_S_MAX) -> None:
        """Go on as long as servers take, for ``drain_s`` at most, then end."""
        outputs = list(self._outputs.values())
        deadline = time.monotonic() + drain_s
        while time.monotonic() < deadline and not all(output.done for output in outputs):
            time.sleep(_LOOK_S)
        for output in outputs:
            output.stop()
        deadline = time.monotonic() + SHIP_END_S_MAX
        for output in outputs:
            output.join(max(deadline - time.monotonic(), 0))

    def status(self) -> list[OutputStatus]:
        """Return how each output is doing. From any thread."""
        return [output.status() for output in list(self._outputs.values())]

    def _release(self) -> None:
        with self._changing:
            if self._outputs:
                self._bus.release(min(output.taken for output in self._outputs.values()))


def _name(url: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", url.partition("://")[2]).strip("_.")[:_NAME_CHARACTERS_MAX]
