"""The parent of one program that tests run: ``keeper.py LOCK PIDFILE COMMAND...``.

A test run holds the lock as long as it lives, whatever it dies of, and a worker of it may die sooner than the program
may. So nobody of the run is the parent of the program: a child of this is, which goes on by itself, and kills it as
soon as it can have the lock. Who wants to end the program sooner kills what PIDFILE names, which has its own session;
PIDFILE is gone when the program is.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path


def end_with_the_run(lock, pid):
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def keep(lock, pid_file, command, started):
    program = subprocess.Popen(command, start_new_session=True)
    Path(pid_file).write_text(f"{program.pid}\n")
    os.write(started, b".")
    threading.Thread(target=end_with_the_run, args=(lock, program.pid), daemon=True).start()
    program.wait()
    Path(pid_file).unlink()


if __name__ == "__main__":
    lock, pid_file, *command = sys.argv[1:]
    heard, started = os.pipe()
    if os.fork() == 0:
        os.close(heard)
        keep(lock, pid_file, command, started)
    else:
        os.close(started)
        sys.exit(not os.read(heard, 1))
