"""Topics of a real cluster, and what a viewer of one is sent."""

import asyncio
import json
import time

from tailrace.bus.brokers import Brokers
from tailrace.query import parse
from tailrace.tail import sse
from tailrace.topics.viewing import Viewing
from tailrace.topics.window import Catalog, Window
from tests.apps.programs import served

SECONDS = 60


def catalog(kafka, **aliases):
    return Catalog(Brokers(tuple(kafka.bootstrap.split(","))), aliases)


def serving(kafka, topic, alias, places):
    """A server of this topic, which it also knows by another name; ``places`` is ``tmp_path_factory``."""
    known = {"TOPICS": topic, "ALIASES": f"{alias}={topic}", "BROKERS": kafka.bootstrap}
    return served(places, **{f"TAILRACE_KAFKA__{name}": value for name, value in known.items()})


def window(topic, **more):
    return Window(topic, **({"first_ns": 0, "ends": True} | more))


class Seen:
    """The frames of one viewer: (event, id, data), taken until something is true of them."""

    def __init__(self, kafka, asked, query="*", **more):
        self._made = lambda: Viewing(
            catalog(kafka),
            asked,
            parse(query, time.time_ns()),
            encode=sse.encode,
            event=sse.event,
            **more,
        )
        self.frames = []

    @property
    def records(self):
        return [record for kind, _, data in self.frames if kind == "rows" for record in data["records"]]

    @property
    def messages(self):
        return [record["message"] for record in self.records]

    @property
    def end(self):
        return next((data for kind, _, data in self.frames if kind == "end"), None)

    def until(self, enough, when=lambda: None):
        """Take frames; ``when`` is called once the viewer reads."""
        asyncio.run(asyncio.wait_for(self._until(enough, when), SECONDS))
        return self

    def whole(self):
        return self.until(lambda: self.end)

    async def _until(self, enough, when):
        viewing = self._made()
        viewing.resolve()
        news = asyncio.Event()
        viewing.listen(news.set)
        viewing.start()
        await asyncio.to_thread(when)
        while not enough():
            data = viewing.take()
            if data:
                self.frames.append(frame(data))
            else:
                await news.wait()
                news.clear()
        viewing.close()


def frame(data):
    """Return one event as (kind, id, data)."""
    lines = dict(line.split(": ", 1) for line in data.decode().strip().split("\n"))
    return lines["event"], lines.get("id", ""), json.loads(lines["data"])
