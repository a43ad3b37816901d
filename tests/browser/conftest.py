"""The page in a real headless Chromium, over a real server with a data directory of its own."""

import json
import re
import shutil
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.apps.programs import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def browser():
    """One for this folder: while it is there, the thread counts as one with a running event loop."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        expect.set_options(timeout=30_000)  # what never comes is waited for on a slow machine, too
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path / "data")
    yield server
    server.stop()


@pytest.fixture
def open_page(browser, server):
    """Open the page at an address; whatever it says on its console as an error fails the test.

    ``forgive`` is a pattern of what belongs to the test: the browser itself writes down every answer that is an error.
    With ``clock`` the time of the page can be put forward.
    """
    contexts = []
    faults = []

    def open_at(address="", *, forgive=r"(?!)", height=700, clock=False, **options):
        context = browser.new_context(locale="en-US", viewport={"width": 1200, "height": height}, **options)

        def heard(said):
            if said.type in {"error", "warning"} and not re.search(forgive, said.text):
                faults.append(said.text)

        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", heard)
        if clock:
            page.clock.install()
        page.goto(address if ":" in address else f"{server.url}/{address}")
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert faults == []


def lines(*messages, **fields):
    """Return NDJSON of records that happen now, in this order."""
    now = datetime.now(UTC)
    rows = [
        {"time": now.replace(microsecond=number % 1_000_000).isoformat(), "message": message, **fields}
        for number, message in enumerate(messages)
    ]
    return "\n".join(json.dumps(row) for row in rows).encode()
