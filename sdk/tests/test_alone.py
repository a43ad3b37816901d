"""The SDK needs nothing but Python, also an old one."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "tailrace_sdk"
SOURCES = sorted(SOURCE.glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_module_is_written_in_python_3_9(path):
    ast.parse(path.read_text(), feature_version=(3, 9))


@pytest.mark.skipif(sys.version_info < (3, 10), reason="this Python does not know what is in its library")
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_module_imports_only_the_standard_library(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            assert name.partition(".")[0] in {*sys.stdlib_module_names, "tailrace_sdk"}, name


def test_what_is_not_used_is_not_imported(run):
    program = (
        "import sys; from tailrace_sdk import RealtimeLogger\n"
        "RealtimeLogger(sys.argv[1])\n"
        "unused = {'http.client', 'ssl', 'logging', 'gzip', 'inspect', 'asyncio', 'socket', 'dataclasses'}\n"
        "print(*unused & set(sys.modules))"
    )
    assert run(program, "unused").stdout == b"\n"


def test_every_name_that_is_offered_is_there():
    import tailrace_sdk

    for name in tailrace_sdk.__all__:
        assert getattr(tailrace_sdk, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tailrace_sdk.nothing  # noqa: B018
    assert (SOURCE / "py.typed").exists()


OLD = """
import asyncio, logging, os, sys
import tailrace_sdk
from tailrace_sdk import *

assert sys.version_info[:2] == (3, 9), sys.version
place = sys.argv[1]
for name in tailrace_sdk.__all__:
    getattr(tailrace_sdk, name)
logger = get_realtime_logger(place, stdout=True, fields={"service": "old"}, max_queue_size=50_000)
integrator = get_log_integrator(logger=logger)
logging.basicConfig(level="INFO", handlers=[RealtimeHandler(logger)])

@realtime_log("work")
async def work(n):
    await asyncio.sleep(0)
    return n

async def main():
    with context_fields(request=1):
        return await asyncio.gather(*map(work, range(10)))

assert asyncio.run(main()) == list(range(10))
try:
    {}["lost"]
except KeyError:
    logging.exception("failed", extra={"token": "t", "path": __import__("pathlib").Path("/a")})
get_logger(order=5).info("bound")
if os.fork() == 0:
    log_realtime({"message": "child", "duration_ms": "slow"})
    logger.shutdown()
    os._exit(0)
os.wait()
push = AsyncLogWriter(sinks=[ServerSink("http://127.0.0.1:1", spool_dir=os.path.join(place, "spool"))])
push.log({"n": 1})
assert push.flush()
assert push.get_stats()["sinks"][0]["waiting_on_disk"] == 1
for n in range(20_000):
    logger.log({"n": n, "when": __import__("datetime").date(2026, 11, 21)})
assert logger.flush(20)
assert logger.get_stats()["written"] == 10 + 1 + 1 + 20_000, logger.get_stats()
reader = LogReader(place)
assert reader.summary()["work"].count == 10
assert [record["message"] for record in reader.records(level="error")] == ["failed"]
assert len(list(reader.records(since="2020-01-01T00:00:00.123456789Z"))) == 20_013
push.shutdown(), logger.shutdown()
print("done", file=sys.stderr)
"""


def old_pythons():
    """Return the Pythons 3.9 that are installed here; Debian's PyPy is one."""

    def is_old(name):
        ask = [name, "-c", "import sys; print(sys.version_info[:2])"]
        return subprocess.run(ask, capture_output=True, check=False).stdout == b"(3, 9)\n"

    return [name for name in ("python3.9", "pypy3") if shutil.which(name) and is_old(name)]


@pytest.mark.parametrize("old", old_pythons() or [pytest.param("", marks=pytest.mark.skip("no Python 3.9 is here"))])
def test_it_works_in_python_3_9(tmp_path, old):
    done = subprocess.run(
        [old, "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r})\n" + OLD, tmp_path],
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.stderr.decode() == "done\n"
    assert done.stdout.count(b"\n") == 20_013
