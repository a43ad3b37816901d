import pytest

from tailrace_sdk.mask import is_secret, masked


@pytest.mark.parametrize(
    "key", ["password", "db_password", "API_KEY", "apiKey", "Authorization", "set-cookie", "access.token"]
)
def test_the_names_of_secrets_are_known(key):
    assert is_secret(key)


@pytest.mark.parametrize("key", ["tokens", "token_count", "secretary", "keyboard", "author", 5, None])
def test_other_names_are_not_taken_for_secrets(key):
    assert not is_secret(key)


def test_a_value_without_secrets_stays_the_same_object():
    value = {"a": [1, {"b": 2}]}
    assert masked(value) is value
