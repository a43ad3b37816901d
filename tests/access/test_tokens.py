import pytest

from tailrace.access.tokens import PREFIX, Tokens
from tailrace.errors import BadInput, Damaged


def test_a_token_names_its_owner_and_only_its_hash_is_kept(tmp_path):
    token = Tokens(tmp_path).add("ann")
    assert token.startswith(PREFIX)
    assert Tokens(tmp_path).name_of(token) == "ann"
    assert token not in (tmp_path / "tokens.json").read_text()
    assert (tmp_path / "tokens.json").stat().st_mode & 0o777 == 0o600


def test_a_removed_token_is_worth_nothing(tmp_path):
    tokens = Tokens(tmp_path)
    token = tokens.add("ann")
    tokens.remove("ann")
    assert (tokens.name_of(token), tokens.names()) == (None, [])


def test_a_name_is_given_once(tmp_path):
    tokens = Tokens(tmp_path)
    tokens.add("ann")
    with pytest.raises(BadInput):
        tokens.add("ann")
    with pytest.raises(BadInput):
        tokens.remove("bob")


def test_a_damaged_file_is_said_with_a_cure(tmp_path):
    (tmp_path / "tokens.json").write_text("{")
    with pytest.raises(Damaged) as caught:
        Tokens(tmp_path).names()
    assert caught.value.cure


@pytest.mark.parametrize("wrong", ["", "tr_", "\udcff", "x" * 100_000])
def test_a_wrong_token_is_nobodys(tmp_path, wrong):
    tokens = Tokens(tmp_path)
    tokens.add("ann")
    assert tokens.name_of(wrong) is None
