"""The page over a topic of several partitions: each is a log of its own, and the page is of all of them."""

import time

import pytest
from playwright.sync_api import expect

from tests.apps.cluster.writing import FILES, Writer, by_file
from tests.apps.programs import Server, until
from tests.apps.tail.reading import tailing

PARTITIONS = 3
WIDE = 100_000
"""Bytes of a line: twenty of each file are more than waits for a client."""


@pytest.fixture
def writer(kafka):
    return Writer(kafka, kafka.topic(PARTITIONS), PARTITIONS)


@pytest.fixture
def server(kafka, writer, tmp_path):
    server = Server(tmp_path / "data", TAILRACE_KAFKA__BROKERS=kafka.bootstrap, TAILRACE_KAFKA__TOPICS=writer.topic)
    yield server
    server.stop()


def numbers(page):
    """Return the numbers of the lines on the page."""
    return [int(text.split(" ")[-1]) for text in page.locator(".message").all_text_contents()]


def until_written(page, writer):
    """Wait until the page has as many lines as were written; they must be those, those of a file in their order."""
    until(lambda: len(numbers(page)) >= sum(map(len, writer.written.values())))
    assert by_file(numbers(page)) == writer.written


def test_what_a_slow_page_was_not_sent_of_several_partitions_is_fetched_with_every_line_once(
    server, writer, proxy, open_page
):
    between = proxy(server.port)
    page = open_page("about:blank", height=2000)
    page.route("**/api/v1/tail?**", lambda route: route.continue_(url=f"{route.request.url}&behind=5"))
    page.goto(between.url)
    writer.write(3, time.time_ns())
    until_written(page, writer)
    with tailing(server) as other:
        between.turn("hole")
        writer.write(20, time.time_ns(), wide=WIDE)
        other.until_count(20 * len(FILES))
        between.mend()
    expect(page.locator(".gap").first).to_contain_text("too slow")
    writer.write(2, time.time_ns())
    for left in range(page.locator(".gap").count(), 0, -1):
        expect(page.locator(".gap")).to_have_count(left)
        page.get_by_role("button", name="Fetch them").first.click()
    expect(page.locator(".gap")).to_have_count(0)
    until_written(page, writer)


def test_tabs_that_share_the_stream_of_several_partitions_all_see_each_line_once(server, writer, open_page):
    page = open_page(height=2000)
    writer.write(2, time.time_ns())
    until_written(page, writer)
    other = page.context.new_page()
    other.goto(page.url)
    until_written(other, writer)
    for _ in range(5):
        writer.write(3, time.time_ns())
    for tab in (page, other):
        until_written(tab, writer)
    assert server.get("/api/v1/status")["tails"] == 1
