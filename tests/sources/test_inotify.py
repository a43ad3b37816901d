import threading

import pytest

from tailrace.sources.inotify import Watch


def key_of(directory):
    status = directory.stat()
    return status.st_dev, status.st_ino


@pytest.fixture
def watch(tmp_path):
    made = Watch()
    if not made.watch(str(tmp_path), key_of(tmp_path)):
        pytest.skip("this machine has no inotify")
    yield made
    made.close()


def test_a_change_of_a_file_is_told_by_its_path(watch, tmp_path):
    (tmp_path / "a.log").write_text("")
    watch.changes()
    with (tmp_path / "a.log").open("a") as file:
        file.write("x")
    watch.wait(10)
    assert watch.changes() == ({f"{tmp_path}/a.log"}, set())


def test_a_new_name_is_told(watch, tmp_path):
    (tmp_path / "new.log").touch()
    watch.wait(10)
    assert watch.changes() == (set(), {str(tmp_path)})


def test_another_thread_can_end_a_wait(watch):
    thread = threading.Thread(target=watch.wake)
    thread.start()
    watch.wait(60)
    thread.join()
    assert watch.changes() == (set(), set())


def test_a_directory_that_is_not_there_cannot_be_watched(watch, tmp_path):
    assert not watch.watch(str(tmp_path / "absent"), (0, 0))
