import pytest

from tailrace_sdk.lock import locked


def test_nobody_else_gets_a_lock_that_is_held(tmp_path):
    path = str(tmp_path / "lock")
    with locked(path, 0), pytest.raises(BlockingIOError), locked(path, 0.01):
        pass
    with locked(path, 0):
        pass
