"""A real Tailrace process to measure: started on a free port with its own data, ended by its PID."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

READY_S_MAX = 30


class Process:
    """A running `tailrace` and what it costs."""

    def __init__(self, running: subprocess.Popen[bytes], port: int, ready_s: float) -> None:
        self.running = running
        self.port = port
        self.ready_s = ready_s

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection to its HTTP side."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def status(self, key: str) -> int:
        """Return a field of /proc/PID/status, KiB for sizes (VmRSS, VmHWM)."""
        lines = Path(f"/proc/{self.running.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key + ":"))

    def cpu_s(self) -> float:
        """Return the CPU seconds it has used so far."""
        fields = Path(f"/proc/{self.running.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def tailrace(*arguments: str, data: Path, port: int | None = None) -> Iterator[Process]:
    """Run `tailrace ARGUMENTS` until the block ends; waits until it is ready."""
    port = port or free_port()
    command = [str(Path(sys.executable).with_name("tailrace")), *arguments]
    command += ["--data", str(data), "--listen", f"127.0.0.1:{port}"]
    started = time.perf_counter()
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError):
                probe = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                probe.request("GET", "/readyz")
                if probe.getresponse().status == 200:
                    break
            if running.poll() is not None or time.perf_counter() - started > READY_S_MAX:
                raise RuntimeError(f"{command} did not become ready")
            time.sleep(0.005)
        yield Process(running, port, time.perf_counter() - started)
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
