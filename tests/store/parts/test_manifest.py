import pytest

from tailrace.cursor import Cursor
from tailrace.errors import Damaged, DataError
from tailrace.store.parts.manifest import Manifest

ONE = Manifest(Cursor(7, 100), (("7-0-60", 1), ("7-60-100", 2)))


def test_what_is_saved_is_loaded(tmp_path):
    ONE.save(tmp_path)
    assert Manifest.load(tmp_path / "manifest") == ONE


def test_the_one_before_is_kept(tmp_path):
    ONE.save(tmp_path)
    Manifest().save(tmp_path)
    assert Manifest.load(tmp_path / "manifest.previous") == ONE


def test_none_is_not_a_damaged_one(tmp_path):
    assert Manifest.load(tmp_path / "manifest") is None


def test_every_changed_byte_is_noticed(tmp_path):
    ONE.save(tmp_path)
    path = tmp_path / "manifest"
    good = path.read_bytes()
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(Damaged):
            Manifest.load(path)


def test_another_format_is_not_read(tmp_path):
    import zlib

    text = b'{"format":99}'
    (tmp_path / "manifest").write_bytes(b"%08x\n%b" % (zlib.crc32(text), text))
    with pytest.raises(DataError, match="format 99"):
        Manifest.load(tmp_path / "manifest")
