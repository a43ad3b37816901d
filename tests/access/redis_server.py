"""A real Redis on loopback, of a test's own: it may be killed, and comes back empty."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.apps.programs import until

REDIS = shutil.which("redis-server")
WHY = "redis-server is not installed (Debian: apt install redis-server)"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


class RedisServer:
    """One process; ``settings`` are lines of its configuration."""

    def __init__(self, directory: Path, *settings: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.port = directory, free_port()
        self.settings = (
            [*settings, f"port {self.port}"] if not any(s.startswith("port") for s in settings) else settings
        )
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        config = self.directory / "redis.conf"
        lines = ["bind 127.0.0.1", "save ''", f"dir {self.directory}", *self.settings]
        config.write_text("\n".join(lines) + "\n")
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen([str(REDIS), config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until(lambda: b"Ready to accept connections" in (self.directory / "log").read_bytes())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)
        (self.directory / "log").write_bytes(b"")

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)
