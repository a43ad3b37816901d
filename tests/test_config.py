import tomllib

import msgspec
import pytest

from tailrace import config
from tailrace.errors import ConfigError


def test_the_last_that_says_something_wins(tmp_path):
    path = tmp_path / "tailrace.toml"
    path.write_text('[store]\nretain = "1d"\nretain_bytes = "1 GB"\n[server]\nlisten = "127.0.0.1:1"\n')
    environment = {"TAILRACE_STORE__RETAIN": "2d", "TAILRACE_SERVER__LISTEN": "127.0.0.1:2", "TAILRACE_TOKEN": "x"}
    made = config.load(str(path), environment, {"server": {"listen": "127.0.0.1:3"}})
    assert (made.store.retain, made.store.retain_bytes, made.server.listen) == ("2d", "1 GB", "127.0.0.1:3")


def test_lists_and_flags_of_the_environment_are_read():
    made = config.load(None, {"TAILRACE_COLLECT__PATHS": "/a, /b", "TAILRACE_SERVER__INSECURE": "true"}, {})
    assert (made.collect.paths, made.server.insecure) == (["/a", "/b"], True)


def test_numbers_of_the_environment_are_read():
    made = config.load(None, {"TAILRACE_QUOTA__TAILS": "12", "TAILRACE_QUOTA__BYTES_PER_S": "3 MB"}, {})
    assert (made.quota.tails, made.quota.bytes_per_s) == (12, "3 MB")


def test_what_is_printed_is_what_is_in_effect():
    made = config.load(None, {"TAILRACE_STORE__RETAIN": "7d"}, {})
    assert msgspec.convert(tomllib.loads(config.toml(made)), config.Config) == made


@pytest.mark.parametrize(
    "environment",
    [
        {"TAILRACE_STOR__RETAIN": "7d"},
        {"TAILRACE_STORE__RETAIN": "soon"},
        {"TAILRACE_STORE__RETAIN_BYTES": "10 apples"},
        {"TAILRACE_SERVER__LISTEN": "7800"},
        {"TAILRACE_SERVER__LISTEN": "localhost:99999"},
        {"TAILRACE_SERVER__INSECURE": "maybe"},
        {"TAILRACE_COLLECT__START": "middle"},
        {"TAILRACE_QUOTA__TAILS": "many"},
        {"TAILRACE_QUOTA__LINES_PER_S": "-1"},
        {"TAILRACE_QUOTA__BYTES_PER_S": "fast"},
    ],
)
def test_what_makes_no_sense_is_an_error_with_a_cure(environment):
    with pytest.raises(ConfigError) as caught:
        config.load(None, environment, {})
    assert caught.value.cure


@pytest.mark.parametrize(
    ("text", "bytes_"), [("10", 10), ("10 GB", 10**10), ("1.5KiB", 1536), ("2 mib", 2 * 1024**2), ("3 b", 3)]
)
def test_sizes(text, bytes_):
    assert config.size(text) == bytes_


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("30d", 2_592_000), ("1 w", 604_800)])
def test_spans(text, seconds):
    assert config.seconds(text) == seconds


@pytest.mark.parametrize(("text", "found"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:80", ("::1", 80))])
def test_addresses(text, found):
    assert config.address(text) == found


def loaded(tmp_path, text):
    path = tmp_path / "tailrace.toml"
    path.write_text(text)
    return config.load(str(path), {}, {})


ENTRIES = """
[collect]
host = "web"
redact = ["secrets", "mine"]
[[collect.entries]]
path = "/var/log/*.log"
exclude = ["*.1"]
labels = { "odd key" = "a \\"b\\"" }
multiline = { continue = "^ " }
redact = ["mine"]
sample = { one_in = 3, where = "level:info" }
[[collect.entries]]
path = "/other"
redact = []
[collect.rules.mine]
pattern = "x(?P<a>\\\\d+)"
keep = [1, 2]
"""


def test_entries_are_printed_as_they_are_in_effect(tmp_path):
    made = loaded(tmp_path, ENTRIES)
    assert len(made.collect.entries) == 2
    assert msgspec.convert(tomllib.loads(config.toml(made)), config.Config) == made


@pytest.mark.parametrize(
    ("text", "message", "cure"),
    [
        ('[[collect.entries]]\npath = "/a"\nstrat = "end"', "collect.entries[0].strat", "'start'"),
        ('[collect.rules.mine]\npatern = "a"', "collect.rules.mine.patern", "'pattern'"),
        ('[[collect.entries]]\npath = "/a"\nstart = "soon"', "collect.entries[0].start", "beginning"),
        ('[[collect.entries]]\nstart = "end"', "collect.entries[0]", ""),
        ('[collect]\nredact = ["sercets"]', "collect.redact: there is nothing called 'sercets'", "'secrets'"),
        ('[collect]\nentries = "/a"', "collect.entries", ""),
        ('[[collect.entries]]\npath = "/a"\nsample = { one_in = 0 }', "collect.entries[0].sample.one_in", ""),
    ],
)
def test_a_wrong_entry_is_told_by_its_place(tmp_path, text, message, cure):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert message in caught.value.message
    assert cure in caught.value.cure


def test_entries_are_not_taken_from_the_environment():
    with pytest.raises(ConfigError, match="in the file only"):
        config.load(None, {"TAILRACE_COLLECT__ENTRIES": "/a"}, {})


def test_only_what_cannot_change_while_it_runs_needs_a_restart(tmp_path):
    old = loaded(tmp_path, ENTRIES)
    new = loaded(tmp_path, '[store]\nretain = "1d"\n[collect]\nallow = ["/var/log"]\n')
    assert config.frozen_changes(old, new) == ["store.retain", "collect.allow"]


def test_an_agent_ships_to_its_servers_and_to_kafka():
    environment = {"TAILRACE_AGENT__SERVERS": "http://a:1", "TAILRACE_KAFKA__BROKERS": "k-1:9092,k-2:9092"}
    made = config.load(None, {**environment, "TAILRACE_AGENT__TOPIC": "logs-{service}"}, {})
    assert [output.url for output in made.outputs] == ["http://a:1", "kafka://k-1:9092,k-2:9092"]
    assert config.load(None, {}, {}).outputs == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"TAILRACE_KAFKA__BROKERS": "kafka"},
        {"TAILRACE_KAFKA__BROKERS": "kafka:9092", "TAILRACE_KAFKA__USER": "agent"},
        {"TAILRACE_KAFKA__BROKERS": "kafka:9092", "TAILRACE_AGENT__ACKS": "some"},
        {"TAILRACE_KAFKA__BROKERS": "kafka:9092", "TAILRACE_KAFKA__PARTITIONS": "0"},
    ],
)
def test_a_kafka_that_makes_no_sense_is_an_error(wrong):
    with pytest.raises(ConfigError):
        config.load(None, wrong, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[elastic]\nurls = ["es-1:9200"]', "not the address of a node"),
        ('[elastic]\nurls = ["http://es"]\nuser = "a"\napi_key_file = "/k"', "both a user and an API key"),
        ('[elastic]\nindex = "Logs"', "not the name of an index"),
        ("[elastic]\nshards = 0", "shards"),
    ],
)
def test_a_cluster_that_cannot_be_one_is_told_at_the_start(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        loaded(tmp_path, text)
