"""The ledger of places taken."""

import pytest

from tailrace.bus import ledger as ledger_module
from tailrace.bus.ledger import Ledger
from tailrace.errors import OriginTaken
from tailrace.record import Origin


def test_it_comes_back_from_its_file_with_its_position(tmp_path):
    ledger = Ledger()
    ledger.take([Origin("file:1", 0, 5, 5, '{"path":"/x"}')])
    ledger.save(tmp_path / "ledger.json", {"segment": 3})
    again = Ledger()
    assert again.load(tmp_path / "ledger.json") == {"segment": 3}
    assert again.origins == ledger.origins


@pytest.mark.parametrize("bytes_left", [b"", b"\0" * 50, b"{}", b'{"version":1}\n00000000\n', b"[1]\nzz\n"])
def test_a_broken_file_falls_back_to_the_generation_before(tmp_path, bytes_left):
    ledger = Ledger()
    ledger.save(tmp_path / "ledger.json", {"segment": 1})
    ledger.save(tmp_path / "ledger.json", {"segment": 2})
    (tmp_path / "ledger.json").write_bytes(bytes_left)
    assert Ledger().load(tmp_path / "ledger.json") == {"segment": 1}


def test_without_a_file_there_is_no_position(tmp_path):
    assert Ledger().load(tmp_path / "ledger.json") is None


def test_staged_places_count_as_taken():
    staged = {"file:1": Origin("file:1", 0, 5, 5)}
    assert Ledger().is_taken([Origin("file:1", 0, 5, 5)], staged)


def test_places_of_which_only_some_are_taken_are_refused():
    ledger = Ledger()
    ledger.take([Origin("a", 0, 5, 5)])
    with pytest.raises(OriginTaken):
        ledger.is_taken([Origin("a", 0, 5, 5), Origin("b", 0, 1, 1)], {})


def test_the_oldest_push_keys_go_first_and_files_never(monkeypatch):
    monkeypatch.setattr(ledger_module, "ORIGINS_MAX", 3)
    ledger = Ledger()
    for source in ("file:1", "push:1", "push:2", "push:3"):
        ledger.take([Origin(source, 0, 1, 1)])
    assert list(ledger.origins) == ["file:1", "push:2", "push:3"]
