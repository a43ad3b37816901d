"""Both ends are killed, and lose their power, at random moments: each line arrives once and in order.

``SEED=7`` repeats a run, ``KILLS=50`` makes more of them.
"""

import fcntl
import http.client
import os
import random
import signal
import struct
import subprocess
import threading

import pytest

from tailrace.limits import MIB
from tests.apps.agent.agents import all_there, logs, wait_for_lines
from tests.apps.programs import until

SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
KILLS = int(os.environ.get("KILLS", "20"))
POWER_CUTS = int(os.environ.get("POWER_CUTS", "12"))
SMALL_SPOOL = {"TAILRACE_AGENT__SPOOL": "16 MiB"}  # segments of 1 MiB, which come and go all the time


@pytest.mark.timeout(600)
@pytest.mark.scenario(
    "D02",
    "an agent is killed again and again at random, and its server half as often, while a log is written and rotated",
    others="otel#31074 (what is queued in memory is lost); rsyslog reads all again; vlagent doubles up to a minute",
)
@pytest.mark.scenario(
    "E24", "the server is killed again and again at random while an agent ships: what it has answered is there"
)
@pytest.mark.parametrize("writer", [{"rotate_lines": 700, "pad": 600}], indirect=True)
def test_every_line_is_there_once_after_both_ends_were_killed_again_and_again(tmp_path, start, port, agent, writer):
    chance = random.Random(SEED)
    url = f"http://127.0.0.1:{port}"
    server = shipping = None
    for number in range(KILLS):
        victims = ["agent", "server"] if number % 2 else ["agent"]
        for which in chance.sample(victims, len(victims)):
            if which == "agent":
                if shipping:
                    shipping.stop(signal.SIGKILL)
                known = shipping.said().count("shipping to") if shipping else 0
                shipping = agent(logs(tmp_path), servers=[url], **SMALL_SPOOL)
                if chance.random() < 0.5:  # else it may die before it has begun
                    until(lambda: shipping.said().count("shipping to") > known)  # noqa: B023
            else:
                if server:
                    server.stop(signal.SIGKILL)
                server = start("--listen", f"127.0.0.1:{port}")
            wait_for_lines(writer, chance.choice([0, chance.randint(1, 300)]))
    writer.stop()
    all_there(server, writer, f"SEED={SEED}")


# -- power -------------------------------------------------------------------------------------------------------

EXT4_IOC_SHUTDOWN = 0x8004587D
WITHOUT_LOG = struct.pack("I", 2)  # what was not synced is gone, as when the power fails


class PoweredDisk:
    """An ext4 of its own that can lose its power: from then on it has nothing but what was synced."""

    def __init__(self, image, place):
        self.image = image
        self.place = place
        place.mkdir()
        with image.open("wb") as file:
            file.truncate(512 * MIB)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        self.on()

    def on(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.place], check=True, capture_output=True)

    def cut(self, *processes):
        """Take the power away from what runs and from the disk, then give it back to the disk.

        What runs goes first: a process that lived on with the dead disk might be told, and tell, what no longer holds.
        """
        for one in random.sample(processes, len(processes)):
            one.stop(signal.SIGKILL)
        handle = os.open(self.place, os.O_RDONLY)
        fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, WITHOUT_LOG)
        os.close(handle)
        self.off()
        self.on()

    def off(self):
        """Unmount it, as soon as what was killed has let go of it."""
        until(lambda: subprocess.run(["umount", self.place], capture_output=True, check=False).returncode == 0)


@pytest.fixture
def powered(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    try:
        disk = PoweredDisk(tmp_path / "image", tmp_path / "disk")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine does not let us mount an ext4")
    yield disk
    subprocess.run(["umount", "-l", disk.place], check=False)


class Pusher:
    """Pushes numbered records, each until it is answered with 200; ``answered`` is how many were."""

    def __init__(self, port):
        self.port = port
        self.answered = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._stopping.is_set():
            body = b'{"message":"pushed %d"}\n' % self.answered
            head = {"Content-Type": "application/x-ndjson", "Idempotency-Key": f"k{self.answered}"}
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("POST", "/api/v1/push", body, head)
                self.answered += connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                self._stopping.wait(0.02)
            finally:
                connection.close()

    def stop(self):
        self._stopping.set()
        self._thread.join()


@pytest.fixture
def pusher(port):
    made = Pusher(port)
    yield made
    made.stop()


@pytest.mark.timeout(300)
@pytest.mark.scenario(
    "D18",
    "the power of agent, server and their disk (ext4) fails a dozen times, while lines are shipped and pushed",
    others="Vector answers before its buffer is synced",
)
def test_what_was_answered_and_what_was_shipped_is_there_once_after_the_power_failed(
    start, port, agent, powered, tmp_path, writer, pusher
):
    chance = random.Random(SEED)
    url = f"http://127.0.0.1:{port}"

    def begin():
        shipping = agent(logs(tmp_path), servers=[url], name="disk/agent", **SMALL_SPOOL)
        return shipping, start("--listen", f"127.0.0.1:{port}", name="disk/server")

    for _ in range(POWER_CUTS):
        shipping, server = begin()
        before = pusher.answered
        wait_for_lines(writer, chance.randint(1, 300))
        until(lambda known=before: pusher.answered > known)
        powered.cut(shipping, server)
    shipping, server = begin()
    writer.stop()
    pusher.stop()
    all_there(server, writer, f"SEED={SEED}", others=pusher.answered)
    pushed = [int(text.rpartition(" ")[2]) for text in server.messages(q="pushed", limit=1_000_000)]
    assert pushed[: pusher.answered] == list(range(pusher.answered)), f"SEED={SEED}"
    assert len(pushed) <= pusher.answered + 1  # one may have lost its answer
