"""Real applications write and rotate their logs in their own ways, and the agent reads beside them.

What an application itself tears or throws away is not ours to keep: where several processes share a log, what came is
compared with what their files hold afterwards.
"""

import fcntl
import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.apps.programs import until

LINES = 6000
POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path("/nowhere"))

WRITER = """
import fcntl, logging, logging.handlers, sys, os, time, gzip, shutil, zlib
path, how, name, count, lock = sys.argv[1:6]
lock = open(lock, "w")

def packed(source, target):
    with open(source, "rb") as old, gzip.open(target, "wb") as new:
        shutil.copyfileobj(old, new)
    os.remove(source)

if how == "size":
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=50_000, backupCount=10_000)
elif how == "time":
    handler = logging.handlers.TimedRotatingFileHandler(path, when="S", interval=1, backupCount=10_000)
    handler.namer = lambda default: default + ".gz"
    handler.rotator = packed
else:
    handler = logging.handlers.WatchedFileHandler(path)
handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
log = logging.getLogger()
log.addHandler(handler)
log.setLevel("INFO")
for number in range(int(count)):
    fcntl.flock(lock, fcntl.LOCK_EX)
    log.info("%s line %d %s", name, number, "x" * (number % 90))
    fcntl.flock(lock, fcntl.LOCK_UN)
    if number % 20 == 0:
        time.sleep(0.005)
"""


def write(
    path: Path, how: str, name: str = "app", count: int = LINES, lock: str = os.devnull
) -> subprocess.Popen[bytes]:
    """Start a process that logs with Python's own handlers, a line at a time under a lock."""
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), how, name, str(count), lock])


def on_disk(directory: Path) -> list[str]:
    """Return all lines that a directory holds, compressed ones too."""
    lines: list[str] = []
    for path in sorted(directory.iterdir()):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines += data.decode().splitlines()
    return lines


def needs(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed (Debian: `make programs` installs it)")


@pytest.mark.scenario("I01", "four Python processes share a `RotatingFileHandler`, 50 kB a file")
def test_what_four_processes_leave_of_a_rotating_log_comes_once(agent, place):
    wide = place / "wide"
    running = [write(wide / "app.log", "size", f"process-{number}", 2000) for number in range(4)]
    assert [one.wait(60) for one in running] == [0] * 4
    kept = on_disk(wide)
    assert len(kept) > 2000
    until(lambda: not set(kept) - set(agent.messages(place)))
    agent.fence()
    found = agent.messages(place)
    whole = [line for line in found if " line " in line]
    assert len(whole) == len(set(whole))


@pytest.mark.scenario("I03", "Python's `TimedRotatingFileHandler` rotates every second and compresses")
def test_a_log_that_its_handler_rotates_by_time_and_compresses_comes_once(agent, place):
    assert write(place / "wide" / "app.log", "time", count=8_000).wait(90) == 0
    assert list((place / "wide").glob("*.gz"))
    kept = sorted(on_disk(place / "wide"))
    agent.comes_to(place, len(kept))
    agent.fence()
    assert sorted(agent.messages(place)) == kept


OPTIONS = {
    "create": "create 0644\n",
    "dateext": "create 0644\ndateext\ndateformat -%Y%m%d-%s\n",
    "compress": "create 0644\ncompress\n",
    "delaycompress": "create 0644\ncompress\ndelaycompress\n",
    "copytruncate": "copytruncate\n",
}


def rotated(agent, wide: Path, private: Path, how: str) -> list[str]:
    """Have logrotate rotate a log that is being written; return what came of it, once all of what it kept did.

    Where it renames, no line is written while it is at it: what comes behind what it has packed, or into a log that is
    there before it makes one, it loses itself. What is written while it copies, too, but that is what copying is.
    """
    needs("logrotate")
    owner = "su root root\n" if os.geteuid() == 0 else ""
    (private / "conf").write_text(f"{wide}/app.log {{\nrotate 1000\n{owner}{OPTIONS[how]}}}\n")
    (private / "conf").chmod(0o644)
    wide.chmod(0o755)
    lock = private / "lock"
    application = write(wide / "app.log", "watched", lock=os.devnull if how == "copytruncate" else str(lock))
    rotations = 0
    while application.poll() is None:
        until(lambda: application.poll() is not None or size_of(wide / "app.log") > 30_000)
        words = ["logrotate", "--force", "--state", private / "state", private / "conf"]
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            rotations += subprocess.run(words, capture_output=True, check=False).returncode == 0
    assert rotations > 1
    kept = set(on_disk(wide))
    until(lambda: not kept - set(agent.messages(wide)))
    agent.fence()
    return agent.messages(wide)


@pytest.mark.scenario("I02", "logrotate renames a `WatchedFileHandler`'s log: `create`, `dateext`")
@pytest.mark.parametrize("how", ["create", "dateext"])
def test_a_log_that_logrotate_renames_comes_once(agent, place, tmp_path, how):
    found = rotated(agent, place / "wide", tmp_path, how)
    assert sorted(int(line.partition(" line ")[2].split()[0]) for line in found) == list(range(LINES))


@pytest.mark.scenario(
    "I02c",
    "logrotate renames and compresses a `WatchedFileHandler`'s log: `compress`, `delaycompress`",
    others="vector#22954, beats#45300",
)
@pytest.mark.parametrize("how", ["compress", "delaycompress"])
def test_a_log_that_logrotate_compresses_comes_once(agent, place, tmp_path, how):
    found = rotated(agent, place / "wide", tmp_path, how)
    assert sorted(int(line.partition(" line ")[2].split()[0]) for line in found) == list(range(LINES))


@pytest.mark.scenario(
    "I02t", "logrotate copies and empties a log: `copytruncate`", others="beats#39731 (the copies are sent again)"
)
def test_what_logrotate_copies_comes_once(agent, place, tmp_path):
    (place / "wide" / "app.log").write_text("the first line\n")
    # Of a log that nobody has seen, nobody knows which copies are its own.
    agent.comes_to(place / "wide" / "app.log", 1)
    found = rotated(agent, place / "wide", tmp_path, "copytruncate")
    assert len(found) == len(set(found))  # lines between its copying and its emptying, logrotate loses itself


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.scenario("I06", "nginx under load reopens its log (USR1) after it was renamed")
def test_every_request_of_nginx_is_in_the_log_once(agent, place, tmp_path):
    needs("nginx")
    wide, port = place / "wide", free_port()
    (tmp_path / "nginx.conf").write_text(f"""
        pid {tmp_path}/pid; error_log {wide}/error.log; daemon off; worker_processes 2;
        events {{}}
        http {{ access_log {wide}/access.log combined; client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p;
          fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
          server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }} }}""")
    nginx = subprocess.Popen(["nginx", "-c", tmp_path / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        until(lambda: connects(port))
        clients = [threading.Thread(target=ask, args=(port, name, 500)) for name in "abcd"]
        for client in clients:
            client.start()
        for number in range(1, 6):
            until(lambda: size_of(wide / "access.log") > 20_000 or not any(one.is_alive() for one in clients))
            (wide / "access.log").rename(wide / f"access.log.{number}")
            nginx.send_signal(signal.SIGUSR1)
            until((wide / "access.log").exists)
        for client in clients:
            client.join()
    finally:
        nginx.send_signal(signal.SIGQUIT)
        nginx.wait(20)
    wanted = sorted(f"/{name}/{number}" for name in "abcd" for number in range(500))
    agent.comes_to(place, len(wanted))
    agent.fence()
    asked = [message.split('"')[1].split()[1] for message in agent.messages(place) if '"GET /' in message]
    assert sorted(one for one in asked if one != "/") == wanted


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def ask(port: int, name: str, count: int) -> None:
    """Make requests over one connection."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        answers = client.makefile("rb")
        for number in range(count):
            client.sendall(f"GET /{name}/{number} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            while (line := answers.readline()) not in (b"\r\n", b""):
                assert line.startswith(b"HTTP/1.1 200") or b":" in line
            assert answers.read(2) == b"ok"
        answers.close()


@pytest.mark.scenario("I07", "PostgreSQL logs statements of several lines and rotates by size and on request")
def test_every_statement_of_postgresql_is_in_the_log_once(agent, place, tmp_path):
    if not (POSTGRES / "postgres").exists():
        pytest.skip("postgresql is not installed (Debian: `make programs` installs it)")
    wide, data, port = place / "wide", tmp_path / "pg", free_port()
    as_postgres = []
    if os.geteuid() == 0:  # which PostgreSQL refuses to be
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        data.mkdir()
        for one in (data, wide):
            shutil.chown(one, "postgres", "postgres")
        for one in [data, *data.parents, *wide.parents]:
            if one.stat().st_uid == 0 and one != Path("/"):
                one.chmod(one.stat().st_mode | 0o055)
    subprocess.run(
        [*as_postgres, POSTGRES / "initdb", "-D", data, "-A", "trust", "-U", "me", "-N"],
        cwd="/",
        capture_output=True,
        check=True,
    )
    settings = {
        "logging_collector": "on",
        "log_directory": str(wide),
        "log_filename": "postgresql-%H%M%S.log",
        "log_rotation_size": "64kB",
        "log_rotation_age": "1min",
        "log_truncate_on_rotation": "off",
        "log_statement": "all",
        "log_line_prefix": "%m [%p] ",
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(data),
        "fsync": "off",
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    server = subprocess.Popen(
        [*as_postgres, POSTGRES / "postgres", "-D", data, *words], cwd="/", stderr=subprocess.DEVNULL
    )
    try:
        psql = [
            POSTGRES / "psql",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-U",
            "me",
            "-d",
            "postgres",
            "-q",
            "-o",
            "/dev/null",
        ]
        until(lambda: answers(psql))
        for part in range(4):
            statements = "".join(
                f"select {part * 300 + number} as statement,\n  '{'x' * 150}' as padding\n  where true;\n"
                for number in range(300)
            )
            subprocess.run(psql, input=statements.encode(), check=True, capture_output=True)
            last = max(wide.glob("postgresql-*.log"))
            subprocess.run([*psql, "-c", "select pg_sleep(1), pg_rotate_logfile()"], check=True, capture_output=True)
            until(lambda last=last: max(wide.glob("postgresql-*.log")) != last)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
    files = list(wide.glob("postgresql-*.log"))
    assert len(files) > 1
    kept = "".join(sorted(path.read_text() for path in files)).splitlines()
    agent.fence()
    until(lambda: sum(message.count("\n") + 1 for message in agent.messages(place)) >= len(kept))
    agent.fence()
    assert sorted("\n".join(agent.messages(place)).split("\n")) == sorted(kept)


def answers(psql: list) -> bool:
    return subprocess.run([*psql, "-c", "select 1"], capture_output=True, check=False).returncode == 0


@pytest.mark.scenario("I05", "lines longer than a pipe's buffer, appended by four processes at once")
def test_long_lines_of_several_processes_come_as_they_stand_on_disk(agent, place):
    path = place / "narrow" / "app.log"
    script = "import os,sys\nfd=os.open(sys.argv[1],os.O_WRONLY|os.O_APPEND|os.O_CREAT)\n"
    script += (
        "for n in range(100): os.write(fd, f'{sys.argv[2]} {n} '.encode() + sys.argv[2].encode() * 20_000 + b'\\n')"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, path, name]) for name in "abcd"]
    assert [one.wait(60) for one in running] == [0] * 4
    kept = path.read_text().splitlines()
    agent.comes_to(place, len(kept))
    agent.fence()
    assert agent.messages(place) == kept
