"""Redis, which forgets everything when it ends."""

import redis

from tests.servers.program import Program, installed, listens


class Redis(Program):
    """A server of a test's own. ``arguments`` are those of `redis-server`."""

    def __init__(self, run, directory, *arguments):
        self.port = run.port()
        self.url = f"redis://127.0.0.1:{self.port}"
        own = ("--port", self.port, "--bind", "127.0.0.1", "--dir", directory, "--save", "", "--appendonly", "no")
        super().__init__(run, "Redis", directory, [installed("redis-server", "redis-server"), *own, *arguments])

    def start(self):
        super().start()
        self.until(lambda: listens(self.port))


def start(run, directory):
    """Start the one that all tests share."""
    server = Redis(run, directory)
    with redis.Redis.from_url(server.url) as client:
        return {"url": server.url, "version": client.info("server")["redis_version"]}
