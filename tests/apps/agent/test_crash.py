"""Both ends are killed, and lose their power, at random moments: each line arrives once and in order.

``SEED=7`` repeats a run.
"""

import ctypes
import fcntl
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import threading

import pytest

from tests.apps.agent.agents import all_there, logs, numbers, wait_for_lines
from tests.apps.programs import until

SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
KILLS = 50
POWER_CUTS = 12
SMALL_SPOOL = {"TAILRACE_AGENT__SPOOL": "16 MiB"}  # segments of 1 MiB, which come and go all the time


@pytest.mark.timeout(400)
@pytest.mark.scenario(
    "D02",
    "an agent is killed 50 times at random, and so is its server, while a log is written and rotated",
    others="otel#31074 (what is queued in memory is lost); rsyslog reads all again; vlagent doubles up to a minute",
)
@pytest.mark.scenario("E24", "the server is killed 50 times at random while agents ship: what it has answered is there")
@pytest.mark.parametrize("writer", [{"rotate_lines": 700, "pad": 600}], indirect=True)
def test_every_line_is_there_once_after_both_ends_were_killed_fifty_times(
    tmp_path, start, port, agent, writer
):
    chance = random.Random(SEED)
    url = f"http://127.0.0.1:{port}"
    server = shipping = None
    for _ in range(KILLS):
        for which in chance.sample(["server", "agent"], 2):
            if which == "agent":
                if shipping:
                    shipping.stop(signal.SIGKILL)
                shipping = agent(logs(tmp_path), servers=[url], **SMALL_SPOOL)
            else:
                if server:
                    server.stop(signal.SIGKILL)
                server = start("--listen", f"127.0.0.1:{port}")
            wait_for_lines(writer, chance.choice([0, chance.randint(1, 300)]))
    writer.stop()
    all_there(server, writer, f"SEED={SEED}")
