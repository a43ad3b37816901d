"""``tailrace tail`` as a real process, against a real server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.apps.tail.serving import Serving


def test_the_command_goes_on_over_a_restart_and_says_so(tmp_path: Path) -> None:
    serving = Serving(tmp_path)
    serving.history.append("one", "t\x1b[2Jwo")
    command = [sys.executable, "-c", "import sys; from tailrace.cli import main; sys.exit(main())"]
    command += ["tail", "--last", "1", "--server", f"http://127.0.0.1:{serving.port}"]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}
    )
    assert running.stdout is not None
    try:
        assert "t\\e[2Jwo" in running.stdout.readline()
        serving.stop()
        serving.history.append("while away")
        serving.start()
        assert "while away" in running.stdout.readline()
        serving.history.append("live")
        assert "live" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=20)
        assert running.returncode == 130
        assert "connected again" in said
    finally:
        running.kill()
        running.wait()
        serving.close()
