"""Many lines, fast lines, large lines: the page stays usable, and says what it leaves out."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import lines

RING_ROWS = 65_536
BODY_ROWS = 10_000

# Scrolls over a range of lines and returns [id, number at the end of the message] of those that were drawn, in order.
NUMBERS = """async ([first, last]) => {
  const scroller = document.querySelector(".scroller"), seen = new Map();
  const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  for (let row = first; row < last; row += Math.floor(scroller.clientHeight / 22)) {
    scroller.scrollTop = row * 22;
    await frame();
    for (const line of document.querySelectorAll("[data-id]")) {
      const message = line.querySelector(".message");
      if (message) seen.set(Number(line.dataset.id), Number(message.textContent.split(" ").at(-1)));
    }
  }
  return [...seen].sort(([one], [other]) => one - other);
}"""


def push_numbered(server, first, last):
    """Push lines a millisecond apart, so that the order of time is the order of arrival."""
    began = datetime.now(UTC) - timedelta(seconds=120)
    for start in range(first, last, BODY_ROWS):
        rows = range(start, min(last, start + BODY_ROWS))
        times = [(began + timedelta(milliseconds=row)).isoformat() for row in rows]
        body = [json.dumps({"time": time, "message": f"line {row}"}) for row, time in zip(rows, times, strict=True)]
        server.push("\n".join(body).encode())


def pause_full(server, page):
    """Pause, and push more than the page holds; return the number of the last line."""
    expect(page.locator(".message").last).to_have_text("line 99")
    page.keyboard.press(" ")
    last = RING_ROWS + 4_000
    push_numbered(server, 100, last + 1)
    expect(page.locator(".pause")).to_contain_text(f"+{last - 99:,} new")
    return last


@pytest.fixture
def full(server, open_page):
    push_numbered(server, 0, 100)
    page = open_page(height=3000)
    return page, pause_full(server, page)


def offsets(numbers):
    """Return the differences of number and id: ids are dense, so one that is the same everywhere means no loss."""
    return {number - row for row, number in numbers}


@pytest.mark.promise(7)
def test_a_pause_that_is_longer_than_the_page_goes_on_without_loss(full):
    page, last = full
    page.get_by_role("button", name="Go on from here").click()
    expect(page.locator(".message").last).to_have_text(f"line {last}")
    held = int(page.locator(".spacer").evaluate("spacer => spacer.offsetHeight")) // 22
    numbers = page.evaluate(NUMBERS, [held - 12_000, held])
    assert len(offsets(numbers)) == 1
    assert numbers[-1][1] == last


@pytest.mark.promise(4)
def test_a_jump_to_now_leaves_a_gap_that_can_be_filled(full):
    page, last = full
    page.get_by_role("button", name="Jump to now").click()
    expect(page.locator(".message").last).to_have_text(f"line {last}")
    gap = page.locator(".gap")
    page.locator(".scroller").evaluate("scroller => { scroller.scrollTop = scroller.scrollHeight - 360 * 22 }")
    expect(gap).to_contain_text("you jumped to now")
    gap.get_by_role("button", name="Fetch them").click()
    expect(gap).to_have_count(0)
    held = int(page.locator(".spacer").evaluate("spacer => spacer.offsetHeight")) // 22
    numbers = page.evaluate(NUMBERS, [held - 12_000, held])
    assert len(offsets(numbers)) == 1
    assert numbers[-1][1] == last


@pytest.mark.promise(14)
def test_ten_thousand_lines_a_second_arrive_all(server, open_page):
    server.push(lines("the first"))
    page = open_page()
    expect(page.locator(".message")).to_have_text(["the first"])
    page.evaluate(
        """() => {
          window.tasks = [];
          new PerformanceObserver((list) => tasks.push(...list.getEntries().map((task) => Math.round(task.duration))))
            .observe({ entryTypes: ["longtask"] });
        }"""
    )
    for start in range(0, 30_000, 1000):
        server.push(lines(*(f"fast {number}" for number in range(start, start + 1000)), level="info"))
    expect(page.locator("footer")).to_contain_text("30,001 lines")
    expect(page.locator(".message").last).to_have_text("fast 29999")
    tasks = page.evaluate("tasks")
    sys.stdout.write(f"long tasks: {len(tasks)}, the longest {max(tasks, default=0)} ms\n")


@pytest.mark.promise(14)
def test_large_lines_do_not_stop_the_page(server, open_page):
    large = {"payload": {f"key{number}": "x" * 100 for number in range(110)}}
    server.push(lines(*("large" for _ in range(200)), **large) + b"\n" + lines("m" * 1_000_000))
    page = open_page()
    expect(page.locator(".message").last).to_contain_text("mmm…")
    page.get_by_text(re.compile("^m+…$")).click()
    page.get_by_role("button", name="Show all 1,000,000 characters").click()
    expect(page.get_by_role("button", name="Show all")).to_have_count(0)
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader", name="payload.key109")).to_be_attached()


@pytest.mark.promise(6)
def test_a_line_that_is_late_says_how_late(server, open_page):
    server.push(lines("in time"))
    page = open_page()
    expect(page.locator(".message")).to_have_text(["in time"])
    server.push(json.dumps({"time": "2026-01-01T00:00:00Z", "message": "from long ago"}).encode())
    expect(page.locator(".late")).to_contain_text(re.compile(r"late \d+ d"))
    assert page.locator(".late").count() == 1
