"""Which topics names and patterns mean."""

import pytest

from tailrace.bus.wanted import Wanted
from tailrace.errors import ConfigError

THERE = ["logs-a", "logs-b", "logs-a-dead", "__consumer_offsets", "shop", "old-logs-c"]


def test_a_name_is_wanted_whether_it_is_there_or_not():
    assert Wanted(["shop", "to-come"]).among(THERE) == ["shop", "to-come"]


def test_a_pattern_means_all_topics_that_begin_so():
    assert Wanted(["^logs-"]).among(THERE) == ["logs-a", "logs-b"]
    assert Wanted(["shop", "^logs-[b-z]$"]).among(THERE) == ["logs-b", "shop"]


def test_no_pattern_means_what_kafka_keeps_or_a_cluster_has_refused_but_a_name_may():
    assert Wanted(["^.*"]).among(THERE) == ["logs-a", "logs-b", "old-logs-c", "shop"]
    assert Wanted(["^shop", "logs-a-dead"]).among(THERE) == ["logs-a-dead", "shop"]


def test_a_topic_that_is_named_and_meant_is_read_once():
    assert Wanted(["logs-a", "^logs-a$"]).among(THERE) == ["logs-a"]


@pytest.mark.parametrize("pattern", ["^(", "^logs-(?=x)"])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(ConfigError, match="is no pattern"):
        Wanted([pattern])
