"""Messages of any topic in the page."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.topics.topics import serving


@pytest.fixture(scope="module")
def topic(kafka):
    made = kafka.topic(2)
    kafka.put(made, *(f'{{"id":{n},"cart":{{"total":{n * 10}}}}}' for n in range(149)), key=b"shop")
    kafka.put(made, b"\xff\xfe\x00\x01", partition=1, headers={"trace": b"4bf9"})
    return made


@pytest.fixture(scope="module")
def brokered(kafka, topic, tmp_path_factory):
    with serving(kafka, topic, f"basket-{topic}", tmp_path_factory) as one:
        yield one


def messages(page):
    return page.locator(".message")


def test_a_topic_is_found_by_its_alias_and_read_on_into_live(brokered, kafka, topic, open_page):
    page = open_page(brokered.url)
    page.get_by_role("button", name="Kafka").click()
    page.get_by_role("searchbox").fill(f"basket-{topic}")
    expect(page.locator("tbody tr")).to_have_text([re.compile(rf"{topic}\s*basket-{topic}\s*150\s*2")])
    page.keyboard.press("Enter")
    expect(page.locator("footer")).to_contain_text("101 matched")
    kafka.put(topic, "late", partition=1, key=b"late")
    expect(messages(page).last).to_have_text("late")
    page.get_by_role("button", name="Cancel").click()
    kafka.put(topic, "later", partition=1, key=b"late")
    page.get_by_role("button", name="Read on").click()
    expect(messages(page).last).to_have_text("later")
    page.get_by_role("combobox", name="Query").fill("key:late")
    page.keyboard.press("Enter")
    expect(messages(page)).to_have_text(["late", "later"])
    page.reload()
    expect(messages(page)).to_have_text(["late", "later"])


def test_what_has_an_end_is_over_there_and_beyond_a_limit_each_message_comes_once(brokered, topic, open_page):
    asked = f"?kafka={topic}&begin=earliest&until=now&limit=100&partitions=0"
    page = open_page(f"{brokered.url}/{asked}", height=4000)
    status = page.get_by_role("status")
    expect(status).to_contain_text("The limit of 100 is reached.")
    expect(messages(page)).to_have_count(100)
    page.get_by_role("button", name="Read on").click()
    expect(status).to_contain_text("Everything there was has been read.")
    expect(page.locator("footer")).to_contain_text("149 of 149 read")
    expect(messages(page)).to_have_text(
        [json.dumps({"id": n, "cart": {"total": n * 10}}, separators=(",", ":")) for n in range(149)]
    )


def test_a_message_shows_its_headers_and_its_value_and_a_bad_one_its_bytes(brokered, topic, open_page):
    page = open_page(
        f"{brokered.url}/?kafka={topic}&begin=earliest&until=now&q=value.cart.total=70 or headers.trace:4bf9"
    )
    expect(messages(page).filter(has_text="ff fe 00 01")).to_have_text("hexff fe 00 01")
    messages(page).filter(has_text="ff fe").click()
    expect(page.get_by_role("row", name="headers.trace 4bf9")).to_be_visible()
    messages(page).filter(has_text='"id":7').click()
    expect(page.get_by_label("Value", exact=True)).to_have_text('{\n  "id": 7,\n  "cart": {\n    "total": 70\n  }\n}')


def test_a_query_that_is_wrong_is_told_and_not_asked_again(brokered, topic, open_page):
    page = open_page(f"{brokered.url}/?kafka={topic}&q=(", forgive="400")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("button", name="Read on")).to_be_visible()


def test_without_brokers_there_is_no_view_of_topics(server, open_page):
    page = open_page("about:blank")
    with page.expect_response("**/kafka/topics*") as answer:
        page.goto(server.url)
    assert answer.value.json() == {"brokers": 0, "topics": []}
    expect(page.get_by_role("button", name="Search")).to_be_visible()
    expect(page.get_by_role("button", name="Kafka")).to_have_count(0)
