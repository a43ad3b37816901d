"""What is followed when nothing was named."""

import subprocess
import sys
from pathlib import Path

from tailrace.collect.discover import discover


def found(tmp_path, **options):
    logs = tmp_path / "logs"
    logs.mkdir(exist_ok=True)
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    every = discover(log_directory=logs, state=state, **options)
    return {one.path.removeprefix(f"{tmp_path}/"): one.reason for one in every if one.path.startswith(str(tmp_path))}


def write(path: Path, data: bytes = b"a line\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_text_logs_at_any_depth_are_found_and_nothing_binary_or_compressed(tmp_path):
    write(tmp_path / "logs/syslog")
    write(tmp_path / "logs/nginx/access.log")
    write(tmp_path / "logs/nginx/access.log.1.gz")
    write(tmp_path / "logs/wtmp", b"a\0b")
    write(tmp_path / "logs/data", b"\0\1")
    write(tmp_path / "logs/journal/x/system.journal")
    (tmp_path / "logs/link.log").symlink_to("/etc/hostname")
    assert sorted(found(tmp_path)) == ["logs/nginx/access.log", "logs/syslog"]


def test_logs_of_the_user_are_found_in_the_state_directory(tmp_path):
    write(tmp_path / "state/app/app.log")
    write(tmp_path / "state/app/settings")
    assert list(found(tmp_path)) == ["state/app/app.log"]


def test_our_own_data_is_left_out(tmp_path):
    write(tmp_path / "logs/tailrace/x.log")
    assert not found(tmp_path, exclude=[tmp_path / "logs/tailrace"])


def test_a_file_that_a_process_appends_to_is_found_with_the_reason(tmp_path):
    path = tmp_path / "elsewhere/worker.log"
    path.parent.mkdir()
    code = f"f = open({str(path)!r}, 'a'); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"open\n"
        reason = found(tmp_path)["elsewhere/worker.log"]
        process.communicate(b"\n")
    assert reason.startswith("open for append by ")
    assert reason.endswith(f"(pid {process.pid})")
