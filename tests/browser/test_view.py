"""What the page keeps, follows and gives away."""

import json

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
