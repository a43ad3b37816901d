import pytest

from tailrace.access.tokens import PREFIX, Tokens
from tailrace.errors import BadInput, Damaged
from tailrace.limits import SESSION_S


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


NOW_S = 1_700_000_000.5


@pytest.mark.parametrize("name", ["ann", "Ännchen.von-Tharau", "a b;c=d"])
def test_a_session_names_who_logged_in_at_any_server_with_the_same_tokens(tmp_path, name):
    tokens = Tokens(tmp_path)
    token = tokens.add(name)
    tokens.add("bob")
    session = tokens.session(token, NOW_S)
    assert session
    assert Tokens(tmp_path).name_of_session(session, NOW_S) == name
    assert token not in session
    assert set(session) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_nobody_without_a_token_has_a_session(tmp_path):
    tokens = Tokens(tmp_path)
    tokens.add("ann")
    assert tokens.session("tr_wrong", NOW_S) is None


def test_a_session_is_over_after_its_time(tmp_path):
    tokens = Tokens(tmp_path)
    session = tokens.session(tokens.add("ann"), NOW_S)
    assert session
    assert tokens.name_of_session(session, NOW_S + SESSION_S - 1) == "ann"
    assert tokens.name_of_session(session, NOW_S + SESSION_S) is None


def test_a_session_ends_with_its_token_also_when_another_has_its_name(tmp_path):
    tokens = Tokens(tmp_path)
    session = tokens.session(tokens.add("ann"), NOW_S)
    assert session
    tokens.remove("ann")
    assert tokens.name_of_session(session, NOW_S) is None
    tokens.add("ann")
    assert tokens.name_of_session(session, NOW_S) is None


def test_a_session_that_was_changed_is_nobodys(tmp_path):
    tokens = Tokens(tmp_path)
    token = tokens.add("ann")
    (name, end, mac), other = (str(tokens.session(one, NOW_S)).split(".") for one in (token, tokens.add("bob")))
    wrong = [
        f"{name}.{int(end) + 1}.{mac}",
        f"{other[0]}.{end}.{mac}",
        f"{name}.{end}.{other[2]}",
        f"{name}.{end}.",
        f"{name}.{end}",
        f"{name}.{end}.{mac}.",
        f"{name}. {end}.{mac}",
        f"%.{end}.{mac}",
        token,
        "",
        "..",
        "\udcff.1.2",
    ]
    assert [tokens.name_of_session(session, NOW_S) for session in wrong] == [None] * len(wrong)
