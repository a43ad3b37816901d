"""The service that a path names."""

import pytest

from tailrace.errors import ConfigError
from tailrace.pipeline.label import labelled, pattern_of, service_of
from tailrace.record import Stream


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/var/log/nginx/access.log", "nginx"),
        ("/var/log/syslog", "syslog"),
        ("/var/log/syslog.1", "syslog"),
        ("/var/log/kern-20260102.log", "kern"),
        ("/srv/shop/logs/app.log", "shop"),
        ("/home/ann/.local/state/notes/notes.log", "notes"),
        ("/home/ann/build.log", "build"),
        ("/opt/billing/billing.out", "billing"),
        ("/tmp/demo/checkout.log", "demo"),
        ("app.log", "app"),
    ],
)
def test_the_service_comes_from_the_path(path, service):
    assert service_of(path) == service


def test_a_service_that_is_known_is_kept():
    stream = Stream.of({"path": "/var/log/nginx/access.log", "service": "web"})
    assert labelled(stream) is stream


def test_named_groups_of_the_path_become_labels():
    stream = Stream.of({"path": "/data/pay/checkout/app.log"})
    labels = labelled(stream, "/data/(?P<team>[^/]+)/(?P<service>[^/]+)/").labels
    assert (labels["team"], labels["service"]) == ("pay", "checkout")


def test_a_label_that_is_given_wins_over_the_path():
    stream = Stream.of({"path": "/data/pay/app.log", "team": "core"})
    assert labelled(stream, "/data/(?P<team>[^/]+)/").labels["team"] == "core"


@pytest.mark.parametrize("pattern", ["/data/", "(?P<a>(?=x))"])
def test_a_pattern_that_gives_no_labels_is_explained(pattern):
    with pytest.raises(ConfigError):
        pattern_of(pattern)
