"""The service that a path names."""

import pytest

from tailrace.pipeline.label import labelled, service_of
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
