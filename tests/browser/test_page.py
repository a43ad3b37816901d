"""What a person does with the page: asks, watches, pauses, looks closer, shares."""

import re

import pytest
from playwright.sync_api import expect

from tests.apps.programs import Server
from tests.browser.conftest import lines

ROW = "[role=row]"


def messages(page):
    return page.locator(".message")


def test_the_history_is_there_and_a_new_line_arrives(server, open_page):
    server.push(lines("first of all", service="web"))
    page = open_page()
    expect(messages(page)).to_have_text(["first of all"])
    server.push(lines("and then another", service="web"))
    expect(messages(page)).to_have_text(["first of all", "and then another"])


@pytest.mark.promise(13)
def test_the_status_says_how_long_a_line_took(server, open_page):
    page = open_page()
    expect(page.locator(".state.open")).to_be_visible()
    expect(page.locator(".badge")).to_have_count(0)
    server.push(lines("here it is"))
    expect(page.locator(".badge")).to_have_text(re.compile(r"[0-9.]+ m?s"))


def test_a_query_filters_and_marks_its_words(server, open_page):
    server.push(lines("payment accepted", "payment failed", "worker started"))
    page = open_page()
    page.keyboard.press("/")
    page.keyboard.type("failed")
    page.keyboard.press("Enter")
    expect(messages(page)).to_have_text(["payment failed"])
    expect(page.locator(".hit")).to_have_text("failed")
    assert "q=failed" in page.url


def test_a_pause_loses_nothing(server, open_page):
    server.push(lines(*(f"old {number:03}" for number in range(200))))
    page = open_page()
    expect(messages(page).last).to_have_text("old 199")
    page.locator(".scroller").hover()
    page.mouse.wheel(0, -1500)
    expect(page.locator(".pause")).to_be_visible()
    reading = messages(page).first.text_content()
    server.push(lines(*(f"new {number:03}" for number in range(299)), level="error"))
    server.push(lines("new 299", level="warn"))
    expect(page.locator(".pause")).to_contain_text("+300 new299 errors1 warning")
    assert messages(page).first.text_content() == reading
    page.get_by_role("button", name="Jump to now").click()
    expect(messages(page).last).to_have_text("new 299")
    assert seen_upwards(page, "new 000") == [f"new {number:03}" for number in range(300)]


def seen_upwards(page, until):
    """Scroll up from the end, and return the new lines on the way, in their order."""
    seen = set()
    page.locator(".scroller").hover()
    for _ in range(60):
        texts = messages(page).all_text_contents()
        seen.update(text for text in texts if text.startswith("new"))
        if until in texts:
            break
        page.mouse.wheel(0, -300)
        page.wait_for_function("before => document.querySelector('.message').textContent !== before", arg=texts[0])
    return sorted(seen)


def test_the_stream_goes_on_after_a_restart_of_the_server_without_loss(server, open_page):
    server.push(lines("before"))
    page = open_page(forgive="ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE")
    expect(messages(page)).to_have_text(["before"])
    port = server.port
    server.stop()
    expect(page.locator("footer .state")).to_contain_text("connection lost")
    again = Server(server.directory, "--listen", f"127.0.0.1:{port}")
    try:
        again.push(lines("after"))
        expect(messages(page)).to_have_text(["before", "after"])
    finally:
        again.stop()


def test_hostile_text_stays_text(server, open_page):
    server.push(lines('<img src=x onerror="document.title=1">', "a\x1b[31mred\x1b[0m\x1b[2J", "user\u202eevil"))
    page = open_page()
    expect(messages(page)).to_have_text(
        ['<img src=x onerror="document.title=1">', "ared\u241b[2J", "user\u27e8U+202E\u27e9evil"]
    )
    assert page.locator(".slice img").count() == 0
    expect(page.locator(".sgr-31")).to_have_text("red")
    expect(page).to_have_title("Tailrace")


def test_a_query_that_is_wrong_is_pointed_at_under_the_character(open_page):
    page = open_page(forgive="400")
    page.get_by_role("combobox").fill('支付 and (level:"error"')
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    caret, bad = page.locator(".caret").bounding_box(), page.locator(".mirror .bad, .mirror .end").first.bounding_box()
    assert caret
    assert bad
    assert caret["y"] >= bad["y"]
    padding = page.locator(".caret").evaluate("element => parseFloat(getComputedStyle(element).paddingLeft)")
    assert abs(caret["x"] + padding - bad["x"]) < 10


@pytest.mark.promise(18)
def test_a_permalink_shows_the_line_again(server, open_page):
    server.push(lines(*(f"line {number:03}" for number in range(300))))
    page = open_page()
    expect(messages(page).last).to_have_text("line 299")
    page.keyboard.press(" ")
    page.keyboard.press("g")
    page.get_by_text("line 010", exact=True).click()
    address = page.get_by_role("link", name="Copy link").get_attribute("href")
    assert address
    other = open_page(re.sub(r"^[^?]*", "", address))
    expect(other.locator(f"{ROW}[aria-selected=true]")).to_contain_text("line 010")


def test_an_expanded_line_shows_its_fields_and_filters_by_them(server, open_page):
    server.push(lines("paid", order=42, user={"id": 7}) + b"\n" + lines("free", order=1))
    page = open_page()
    page.get_by_text("paid", exact=True).click()
    expect(page.get_by_role("rowheader", name="user.id")).to_be_visible()
    page.get_by_role("button", name="Show only this value: order").click()
    expect(messages(page)).to_have_text(["paid"])
    expect(page.get_by_role("combobox")).to_have_value("order=42")


def test_a_facet_includes_and_alt_click_leaves_out(server, open_page):
    server.push(lines("one", service="web") + b"\n" + lines("two", service="worker"))
    page = open_page()
    web = page.locator(".facets").get_by_role("button", name="web 1", exact=True)
    web.click()
    expect(messages(page)).to_have_text(["one"])
    web.click()
    expect(messages(page)).to_have_text(["one", "two"])
    web.click(modifiers=["Alt"])
    expect(messages(page)).to_have_text(["two"])


def test_counting_gives_a_table(server, open_page):
    server.push(lines("a", "b", service="web") + b"\n" + lines("c", service="worker"))
    page = open_page("?q=*+|+stats+count()+by+service&live=0")
    expect(page.locator("tbody tr")).to_have_count(2)


def test_the_page_speaks_chinese(open_page):
    page = open_page()
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("button", name="搜索")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
