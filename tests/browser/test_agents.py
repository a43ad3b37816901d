"""What a person does with the agents: sees how they are, and changes what one follows."""

import json
import signal
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.apps.agent.agents import Agent
from tests.apps.programs import served, until


@pytest.fixture(scope="module")
def etcd_server(etcd, tmp_path_factory):
    with served(tmp_path_factory, TAILRACE_ETCD__ENDPOINTS=etcd.url) as one:
        yield one


@pytest.fixture
def server(etcd_server):
    return etcd_server


@pytest.fixture
def agent(tmp_path, etcd):
    (tmp_path / "logs").mkdir()
    one = Agent(
        tmp_path / "agent",
        servers=["http://127.0.0.1:9"],
        TAILRACE_ETCD__ENDPOINTS=etcd.url,
        TAILRACE_COLLECT__HOST="browser-box",
        TAILRACE_COLLECT__ALLOW=str(tmp_path / "logs"),
    )
    yield one
    if one.process.poll() is None:
        one.stop(signal.SIGKILL)


def row(page, host):
    return page.get_by_role("row").filter(has=page.get_by_role("button", name=host, exact=True))


def test_an_agent_is_found_given_entries_corrected_and_seen_to_stop(etcd, agent, tmp_path, open_page):
    (tmp_path / "logs" / "a.log").write_text("1\n")
    page = open_page(forgive="400")
    page.keyboard.press("a")
    expect(row(page, "browser-box")).to_contain_text("here")
    expect(row(page, "browser-box")).to_contain_text("now")
    page.get_by_role("button", name="browser-box", exact=True).click()
    assert "agents=1&agent=browser-box" in page.url
    text = page.get_by_label("What it follows")
    text.fill('{"entries": [{"path": "/etc/passwd"}]}')
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("'/etc/passwd' is not below collect.allow")
    expect(text).to_have_value('{"entries": [{"path": "/etc/passwd"}]}')
    text.fill(json.dumps({"entries": [{"path": f"{tmp_path}/logs/*.log"}]}))
    text.press("Control+s")
    expect(page.get_by_text("The agent follows this.")).to_be_visible()
    expect(row(page, "browser-box").get_by_role("cell").nth(5)).to_have_text("1")
    page.reload()
    expect(text).to_have_value(json.dumps({"entries": [{"path": f"{tmp_path}/logs/*.log"}]}, indent=2) + "\n")
    etcd.put("tailrace/agents/browser-box", "nope")
    expect(page.locator("tr.problem", has_text="agents/browser-box in etcd: it is not JSON")).to_be_visible()
    agent.stop()
    expect(row(page, "browser-box")).to_contain_text("stopped")


def test_who_edits_what_somebody_else_has_changed_is_told_and_sees_it(etcd, open_page):
    etcd.put("tailrace/agents/shared-box", '{"entries": [{"path": "/var/log/a"}]}')
    page = open_page("?agents=1&agent=shared-box", forgive="409")
    text = page.get_by_label("What it follows")
    expect(text).to_have_value('{\n  "entries": [\n    {\n      "path": "/var/log/a"\n    }\n  ]\n}\n')
    text.fill('{"entries": [{"path": "/var/log/mine"}]}')
    etcd.put("tailrace/agents/shared-box", '{"entries": [{"path": "/var/log/theirs"}]}')
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("somebody has changed them")
    expect(text).to_have_value('{"entries": [{"path": "/var/log/mine"}]}')
    page.get_by_role("button", name="Show what is there now").click()
    expect(text).to_have_value('{\n  "entries": [\n    {\n      "path": "/var/log/theirs"\n    }\n  ]\n}\n')


def test_entries_are_removed_after_a_question(etcd, open_page):
    etcd.put("tailrace/agents/old-box", '{"entries": []}')
    page = open_page("?agents=1&agent=old-box")
    expect(row(page, "old-box")).to_contain_text("awaited")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(row(page, "old-box")).to_have_count(0)
    until(lambda: etcd.get("tailrace/agents/old-box") is None)


def test_the_keys_go_to_the_agents_and_back_and_a_name_is_found(etcd, open_page):
    for name in ("fleet-1", "fleet-2", "db-1"):
        etcd.put(f"tailrace/agents/{name}", '{"entries": []}')
    page = open_page()
    expect(page.locator(".state.open")).to_be_visible()
    page.keyboard.press("a")
    expect(row(page, "db-1")).to_have_count(1)
    page.get_by_label("Find an agent").fill("fleet-")
    expect(page.get_by_role("button", name="fleet-")).to_have_count(2)
    expect(row(page, "db-1")).to_have_count(0)
    page.get_by_label("Find an agent").blur()
    page.keyboard.press("Escape")
    expect(page.locator(".scroller")).to_be_visible()
    assert "agents" not in page.url


def test_without_etcd_the_page_says_what_is_missing(start, open_page):
    page = open_page(f"{start().url}/?agents=1")
    expect(page.get_by_text("This server has no etcd")).to_be_visible()


def test_an_agent_that_has_gone_says_since_when(etcd, open_page):
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
    etcd.put("tailrace/seen/lost-box", {"at": hour_ago, "version": "0.1.0", "stopped": False})
    page = open_page("?agents=1")
    expect(row(page, "lost-box")).to_contain_text("gone")
    expect(row(page, "lost-box")).to_contain_text("1 h ago")


def test_the_agents_speak_chinese(etcd, open_page):
    etcd.put("tailrace/agents/web-1", '{"entries": []}')
    page = open_page("?agents=1")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="采集代理")).to_be_visible()
    expect(row(page, "web-1")).to_contain_text("等待上线")
