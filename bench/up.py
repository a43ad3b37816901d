"""What does it cost to have it running? Time to ready, memory and CPU when idle, size when installed."""

import re
import tempfile
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from bench.figure import figure
from bench.process import tailrace

IDLE_S = 20
STARTS = 5


def installed_bytes() -> int:
    """Return what the runtime set takes: everything that `tailrace` requires, with all that requires."""
    waiting, seen, total = ["tailrace"], set(), 0
    while waiting:
        name = re.split(r"[^A-Za-z0-9_.-]", waiting.pop())[0].lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:  # a requirement of another platform or Python
            continue
        paths = [Path(str(file.locate())) for file in found.files or []]
        total += sum(path.stat().st_size for path in paths if path.is_file())
        waiting += [requirement for requirement in found.requires or [] if "extra ==" not in requirement]
    return total


def main() -> None:
    """Start it on a folder with a few logs, let it idle."""
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
        logs = Path(folder) / "logs"
        logs.mkdir()
        for number in range(20):
            (logs / f"app{number}.log").write_text("".join(f"2026-11-20 08:00:00 INFO line {n}\n" for n in range(2000)))
        ready = []
        for turn in range(STARTS):
            with tailrace("up", str(logs), "--no-discover", data=Path(folder) / f"data{turn % 2}") as process:
                ready.append(process.ready_s)
        figure("up_ready", sorted(ready)[len(ready) // 2], "s", asked=1.5)
        with tailrace("up", str(logs), "--no-discover", data=Path(folder) / "data0") as process:
            time.sleep(30)
            cpu = process.cpu_s()
            time.sleep(IDLE_S)
            figure("up_idle_cpu", (process.cpu_s() - cpu) / IDLE_S * 100, "% of a core", asked=1)
            figure("up_idle_memory", process.status("VmRSS") / 1024, "MiB", asked=150)
        figure("installed", installed_bytes() / 1e6, "MB", asked=400)
