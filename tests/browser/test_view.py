"""What the page keeps, follows and gives away."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import lines


def messages(page):
    return page.locator(".message")


def test_a_filter_that_changes_while_live_goes_on_live(server, open_page):
    server.push(lines("red 1", "blue 1"))
    page = open_page()
    expect(messages(page)).to_have_text(["red 1", "blue 1"])
    page.get_by_role("combobox").fill("red")
    page.keyboard.press("Enter")
    expect(messages(page)).to_have_text(["red 1"])
    server.push(lines("red 2", "blue 2"))
    expect(messages(page)).to_have_text(["red 1", "red 2"])
    page.get_by_role("combobox").fill("blue")
    page.keyboard.press("Enter")
    server.push(lines("red 3", "blue 3"))
    expect(messages(page)).to_have_text(["blue 1", "blue 2", "blue 3"])


@pytest.mark.promise(8)
def test_what_a_filter_hid_while_live_comes_back_when_it_goes(server, open_page):
    server.push(lines(*(f"old {number}" for number in range(400))))
    page = open_page()
    expect(messages(page).last).to_have_text("old 399")
    server.push(lines("red 1", "blue 1"))
    expect(messages(page).last).to_have_text("blue 1")
    ask(page, "red")
    expect(messages(page)).to_have_text(["red 1"])
    server.push(lines(*(f"blue {number}" for number in range(2, 700)), "red 2"))
    expect(messages(page)).to_have_text(["red 1", "red 2"])
    ask(page, "red or blue")
    expect(page.locator("footer")).to_contain_text("701 lines")
    expect(messages(page).last).to_have_text("red 2")


def test_a_filter_that_nothing_matched_since_the_tail_began_shows_what_was_before(server, open_page):
    server.push(lines("red", *(f"blue {number}" for number in range(400))))
    page = open_page()
    expect(messages(page).last).to_have_text("blue 399")
    ask(page, "red")
    expect(messages(page)).to_have_text(["red"])
    server.push(lines("red again"))
    expect(messages(page)).to_have_text(["red", "red again"])


def test_lines_that_are_older_than_the_range_can_be_shown(server, open_page):
    server.push(json.dumps({"time": "2026-01-01T00:00:00Z", "message": "red"}).encode())
    server.push(lines(*(f"blue {number}" for number in range(400))))
    page = open_page()
    expect(messages(page).last).to_have_text("blue 399")
    ask(page, "red")
    page.get_by_role("button", name="Show older lines").click()
    expect(messages(page)).to_have_text(["red"])


@pytest.mark.promise(6)
def test_a_late_line_stands_where_it_came_or_in_its_place(server, open_page):
    at = datetime.now(UTC) - timedelta(seconds=60)

    def line(seconds, message):
        server.push(json.dumps({"time": (at + timedelta(seconds=seconds)).isoformat(), "message": message}).encode())

    for second in (0, 20, 40):
        line(second, f"at {second}")
    page = open_page("?order=event")
    expect(messages(page)).to_have_text(["at 0", "at 20", "at 40"])
    line(10, "at 10")
    expect(messages(page)).to_have_text(["at 0", re.compile("late .* sat 10$"), "at 20", "at 40"])
    page.get_by_role("button", name="by time").click()
    expect(messages(page)).to_have_text(["at 0", "at 20", "at 40", re.compile("late .* sat 10$")])
    assert "order" not in page.url
    page.get_by_role("button", name="as they arrive").click()
    expect(messages(page)).to_have_text(["at 0", re.compile("late .* sat 10$"), "at 20", "at 40"])


@pytest.mark.promise(1)
def test_what_came_live_is_proved_to_be_what_a_search_finds(server, open_page):
    server.push(lines(*(f"old {number}" for number in range(400))))
    page = open_page("?q=-odd")
    expect(messages(page).last).to_have_text("old 399")
    for number in range(20):
        server.push(lines(f"支付 {number}", "odd", level="warn"))
    expect(messages(page).last).to_have_text("支付 19")
    page.get_by_role("button", name="Verify that nothing is missing").click()
    expect(page.get_by_role("status").filter(has_text="identical")).to_contain_text(
        "320 lines, identical to the search"
    )


def ask(page, query):
    page.get_by_role("combobox").fill(query)
    page.keyboard.press("Enter")


def test_a_reload_keeps_the_view(server, open_page):
    server.push(lines("paid", order=42) + b"\n" + lines("free"))
    page = open_page()
    page.get_by_role("combobox").fill("paid")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="24h").click()
    page.get_by_role("button", name="Live").click()
    messages(page).click()
    page.get_by_role("button", name="As a column: order").click()
    page.keyboard.press("w")
    page.keyboard.press("t")
    address = page.url
    page.reload()
    expect(messages(page)).to_have_text(["paid"])
    assert page.url == address
    expect(page.get_by_role("combobox")).to_have_value("paid")
    expect(page.get_by_role("button", name="24h")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("button", name="Wrap")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="UTC")).to_be_visible()
    expect(page.locator(".line .column")).to_have_text(["", "42"])


def test_going_back_brings_the_query_before(server, open_page):
    server.push(lines("one", "two"))
    page = open_page()
    expect(messages(page)).to_have_text(["one", "two"])
    page.get_by_role("combobox").fill("two")
    page.keyboard.press("Enter")
    expect(messages(page)).to_have_text(["two"])
    page.go_back()
    expect(messages(page)).to_have_text(["one", "two"])


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_colours_follow_the_system(open_page, scheme):
    page = open_page(color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
    assert (sum(ground) < 3 * 128) == (scheme == "dark")


def test_a_download_is_every_line_that_matches(server, open_page):
    server.push(lines(*(f"wanted {number:03}" for number in range(700)), "not this"))
    page = open_page("?q=wanted&live=0")
    expect(messages(page).last).to_have_text("wanted 699")
    with page.expect_download() as started:
        page.get_by_role("link", name="Download").click()
    assert started.value.suggested_filename == "tailrace-search.ndjson"
    rows = [json.loads(line) for line in started.value.path().read_text().splitlines()]
    assert sorted(row["message"] for row in rows[:-1]) == [f"wanted {number:03}" for number in range(700)]
    assert rows[-1]["end"]["complete"]


def test_the_histogram_tells_what_is_under_the_pointer(server, open_page):
    server.push(lines("a", "b", level="error") + b"\n" + lines("c", level="info"))
    page = open_page("?live=0&range=5m")
    expect(messages(page)).to_have_count(3)
    bars = page.locator("section path.error")
    bars.wait_for(state="attached")
    page.wait_for_function("document.querySelector('section path.error').getBBox().width > 0")
    bars.hover(force=True)
    expect(page.get_by_role("tooltip")).to_contain_text("error2")
    expect(page.get_by_role("tooltip")).to_contain_text("total3")


def test_the_page_can_be_used_without_a_mouse(server, open_page):
    server.push(lines("one", "two", "three"))
    page = open_page()
    expect(messages(page)).to_have_text(["one", "two", "three"])
    page.keyboard.press("k")
    page.keyboard.press("k")
    expect(page.locator("[aria-selected=true]")).to_contain_text("two")
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader", name="observed")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader", name="observed")).to_have_count(0)
    page.keyboard.press("Shift+?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.promise(10, 11)
def test_messages_of_one_shape_are_one_row_and_what_the_tail_did_not_begin_with_is_new(server, open_page):
    server.push(lines(*(f"user {number} logged in" for number in range(50)), service="web"))
    page = open_page("?patterns=1")
    rows = page.locator(".patterns [role=row]")
    expect(rows).to_have_text([re.compile(r"\u00d7 50\s+user \* logged in")])
    server.push(lines("disk 7 is full", *(f"user {number} logged in" for number in range(3)), service="db"))
    expect(rows).to_have_text([re.compile(r"\u00d7 1\s.*new\s*disk \* is full"), re.compile(r"\u00d7 53\s+.*user")])
    expect(page.locator(".facets").get_by_role("button", name="db 4", exact=True)).to_be_visible()
    rows.first.click()
    expect(messages(page)).to_have_text(["disk 7 is full"])


@pytest.mark.promise(9)
def test_lines_around_a_match_are_shown_while_live(server, open_page):
    server.push(lines(*(f"step {number}" for number in range(9)), service="web"))
    page = open_page("?q=5")
    expect(messages(page)).to_have_text(["step 5"])
    page.get_by_role("button", name="±0").click()
    expect(messages(page)).to_have_text([f"step {number}" for number in range(3, 8)])
    expect(page.locator(".line.context")).to_have_count(4)
    assert "context=2" in page.url
