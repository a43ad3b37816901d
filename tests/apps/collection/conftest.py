"""The agent that the scenarios share, places of their own for each, and agents for those that need another one."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tailrace.limits import DISK_FREE_BYTES_MIN, KIB, MIB
from tests.apps.collection.following import Follower

PLACES = 50


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Iterator[tuple[Follower, Iterator[Path]]]:
    """One running agent for all scenarios that only write files, and the places where they may.

    In ``narrow/`` of a place it follows only the logs themselves, in ``wide/`` their rotated generations too, in
    ``deep/`` logs at any depth. All of them have been there before it was started.
    """
    root = tmp_path_factory.mktemp("shared")
    places = [root / "places" / f"{number:03d}" for number in range(PLACES)]
    for place in places:
        for one in ("narrow", "wide", "deep"):
            (place / one).mkdir(parents=True)
            (place / one / "quiet.log").touch()
    every = root / "places" / "*"
    agent = Follower(
        root / "data", every / "narrow" / "*.log", every / "wide" / "*.log*", every / "deep" / "**" / "*.log"
    )
    yield agent.start(), iter(places)
    agent.end()


@pytest.fixture
def agent(shared) -> Follower:
    """The shared agent."""
    return shared[0]


@pytest.fixture
def place(shared) -> Path:
    """A directory of this scenario alone, which the shared agent follows."""
    return next(shared[1])


@pytest.fixture
def follow(tmp_path) -> Iterator[Callable[..., Follower]]:
    """Start agents that end with the test; their logs belong into ``tmp_path / "logs"``."""
    (tmp_path / "logs").mkdir()
    agents: list[Follower] = []

    def one(*paths: object, name: str = "data", **more) -> Follower:
        agents.append(Follower(tmp_path / name, *paths, **more))
        return agents[-1].start()

    yield one
    for agent in agents:
        agent.end()


@pytest.fixture
def logs(tmp_path, follow) -> Path:
    """The directory for the logs of an agent of the test's own."""
    return tmp_path / "logs"


@pytest.fixture
def root() -> None:
    """Skip without the rights of root."""
    if os.geteuid() != 0:
        pytest.skip("only root may do that")


class SmallDisk:
    """A disk of its own below ``tmp_path / "disk"``, a little larger than what the bus leaves free."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def fill(self) -> None:
        """Leave less room than the bus wants."""
        room = os.statvfs(self.place)
        bytes_free = room.f_bavail * room.f_frsize - DISK_FREE_BYTES_MIN - 64 * KIB
        (self.place / "ballast").write_bytes(bytes(bytes_free))

    def free(self) -> None:
        """Make room again."""
        (self.place / "ballast").unlink()


@pytest.fixture
def small_disk(tmp_path, root) -> Iterator[SmallDisk]:
    place = tmp_path / "disk"
    place.mkdir()
    size = f"size={DISK_FREE_BYTES_MIN + 32 * MIB}"
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", place], capture_output=True, check=False
    ).returncode:
        pytest.skip("this machine does not let us mount a disk")
    yield SmallDisk(place)
    subprocess.run(["umount", "-l", place], check=True)
