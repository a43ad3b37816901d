"""A past range is played as it happened, and goes on into live."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import lines


def messages(page):
    return page.locator(".message")


@pytest.fixture
def began(server):
    """Two hours ago; a line was written every ten minutes for an hour."""
    began = datetime.now(UTC) - timedelta(hours=2)
    rows = [(began + timedelta(minutes=10 * number + 1), f"step {number}") for number in range(6)]
    server.push("\n".join(json.dumps({"time": at.isoformat(), "message": text}) for at, text in rows).encode())
    return began


def address(began, **more):
    return "?" + urlencode({"range": "all", "live": 1, "replay": began.isoformat(), **more})


@pytest.mark.promise(12)
def test_a_replay_comes_to_now_and_goes_on_live(server, open_page, began):
    page = open_page(address(began))
    expect(page.locator("footer .state")).to_contain_text("replay")
    expect(messages(page)).to_have_count(0)
    page.get_by_role("button", name="max", exact=True).click()
    expect(messages(page)).to_have_text([f"step {number}" for number in range(6)])
    expect(page.get_by_role("group", name="Replay")).to_have_count(0)
    assert "replay" not in page.url
    server.push(lines("and now"))
    expect(messages(page).last).to_have_text("and now")
    expect(messages(page)).to_have_count(7)


def test_a_replay_can_be_stopped_and_moved(server, open_page, began):
    end = began + timedelta(minutes=60)
    page = open_page(address(began, **{"from": began.isoformat(), "to": end.isoformat()}))
    expect(page.locator("footer .state")).to_contain_text("replay")
    page.keyboard.press(" ")
    expect(page.locator("footer .state")).to_contain_text("replay paused")
    page.get_by_role("slider").fill(str(int((began + timedelta(minutes=45)).timestamp()) * 1000))
    page.get_by_role("button", name="max", exact=True).click()
    expect(page.locator("footer .state")).to_contain_text("replay over")
    expect(messages(page).last).to_have_text("step 5")


def test_a_range_is_replayed_from_the_picker(server, open_page, began):
    page = open_page("?live=0&range=24h")
    expect(messages(page)).to_have_count(6)
    page.get_by_role("button", name="Custom").click()
    page.get_by_role("button", name="Replay from here").click()
    expect(page.get_by_role("group", name="Replay")).to_be_visible()
    expect(page.locator("footer .state")).to_contain_text("replay")
