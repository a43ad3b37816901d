import os

import pytest

from tailrace.directory import held
from tailrace.errors import DataError, Locked


def test_it_is_made_for_its_owner_only(tmp_path):
    with held(tmp_path / "deep" / "data") as place:
        assert place.stat().st_mode & 0o777 == 0o700


def test_the_next_one_is_told_who_has_it(tmp_path):
    with held(tmp_path), pytest.raises(Locked, match=f"process {os.getpid()}"), held(tmp_path):
        pass


def test_it_can_be_held_again_afterwards(tmp_path):
    for _ in range(2):
        with held(tmp_path):
            pass


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(DataError, match="is not a directory") as caught, held(tmp_path / "data"):
        pass
    assert caught.value.cure
