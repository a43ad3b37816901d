import errno

import pytest

from tailrace.errors import DataError, DiskFull
from tailrace.store.parts import durable


def test_a_file_is_replaced_and_the_one_before_is_kept(tmp_path):
    path, previous = tmp_path / "manifest", tmp_path / "previous"
    for data in (b"one", b"two", b"three"):
        durable.replace_file(path, data, previous)
    assert (path.read_bytes(), previous.read_bytes()) == (b"three", b"two")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["manifest", "previous"]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EROFS, DataError), (errno.EIO, DataError)],
)
def test_what_the_system_refuses_is_said_with_a_cure(tmp_path, number, kind):
    with pytest.raises(kind) as caught, durable.disk_errors(tmp_path):
        raise OSError(number, "refused")
    assert type(caught.value) is kind
    assert str(tmp_path) in caught.value.message
    assert caught.value.cure
