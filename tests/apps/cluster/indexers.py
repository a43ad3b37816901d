"""Real processes of `tailrace index`."""

import json
import re
import signal
import subprocess
from urllib.request import urlopen

from tests.apps.programs import TAILRACE, environment, until


class Indexer:
    """A `tailrace index`; what it says is in ``said()``."""

    def __init__(self, log, kafka, topic, url, prefix, **more):
        self.log = log
        words = ["--kafka", kafka.bootstrap, "--topic", topic, "--elastic", url, "--index", prefix]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*TAILRACE, "index", *words, "--listen", "127.0.0.1:0"],
                stdout=out,
                stderr=out,
                env=environment(TAILRACE_ELASTIC__REPLICAS="0", **more),
            )

    def said(self):
        return self.log.read_text()

    def get(self, path):
        """Return what it answers."""
        found = until(lambda: re.search(r"answering at (\S+)", self.said()))
        with urlopen(found[1] + path, timeout=10) as answer:
            return answer.read().decode()

    def status(self):
        return json.loads(self.get("/api/v1/status"))

    def partitions(self):
        return {(one["topic"], one["partition"]) for one in self.status()["partitions"]}

    def kill(self):
        """End it as if its machine had lost power."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self):
        """Tell it to end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)
