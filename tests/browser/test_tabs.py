"""One server and many tabs, bad proxies, and a machine that slept."""

import contextlib
import re
import socket
import threading

import pytest
from playwright.sync_api import expect

from tests.apps.programs import Server, until
from tests.browser.conftest import lines

TABS = 12


def messages(page):
    return page.locator(".message")


def viewers(server):
    """Return how many tails the server has open."""
    _, _, body = server.call("GET", "/metrics")
    found = re.search(rb"^tailrace_tails (\d+)", body, re.MULTILINE)
    assert found
    return int(found[1])


def tabs_of(page, addresses):
    """Open more tabs in the browser of a page."""
    tabs = [page]
    for address in addresses:
        tab = page.context.new_page()
        tab.goto(address)
        tabs.append(tab)
    return tabs


@pytest.mark.promise(17)
def test_tabs_that_ask_the_same_share_one_stream_and_all_see_each_line_once(server, open_page):
    server.push(lines("before"))
    page = open_page()
    expect(messages(page)).to_have_text(["before"])
    tabs = tabs_of(page, [page.url] * (TABS - 1))
    for tab in tabs:
        expect(messages(tab)).to_have_text(["before"])
    until(lambda: viewers(server) == 1)
    server.push(lines("for all"))
    for tab in tabs:
        expect(messages(tab)).to_have_text(["before", "for all"])
    tabs[-1].get_by_role("button", name="Search", exact=True).click()
    expect(messages(tabs[-1])).to_have_text(["before", "for all"])
    assert viewers(server) == 1


def test_when_the_tab_with_the_stream_closes_another_goes_on_without_loss(server, open_page):
    server.push(lines("before"))
    page = open_page()
    expect(messages(page)).to_have_text(["before"])
    tabs = tabs_of(page, [page.url] * 2)
    for tab in tabs:
        expect(messages(tab)).to_have_text(["before"])
    expected = ["before"]
    for number, tab in enumerate(tabs[:-1]):
        server.push(lines(f"with {number}"))
        tab.close()
        server.push(lines(f"without {number}"))
        expected += [f"with {number}", f"without {number}"]
        for left in tabs[number + 1 :]:
            expect(messages(left)).to_have_text(expected)


@pytest.mark.promise(17)
def test_more_questions_than_a_browser_has_connections_leave_the_page_usable(server, open_page):
    server.push(lines(*(f"word{number}" for number in range(TABS))))
    page = open_page("?q=word0")
    tabs = tabs_of(page, [f"{server.url}/?q=word{number}" for number in range(1, TABS)])
    until(lambda: viewers(server) == TABS)
    server.push(lines(*(f"word{number} again" for number in range(TABS))))
    for number, tab in enumerate(tabs):
        expect(messages(tab)).to_have_text([f"word{number}", f"word{number} again"])
    tabs[-1].get_by_role("button", name="Live").click()
    expect(messages(tabs[-1])).to_have_count(2)


class Proxy:
    """Passes connections on, until those that are there are frozen: open, but nothing comes any more."""

    def __init__(self, port):
        self._frozen = threading.Event()
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self):
        """From here on what is open is dead, and what is opened works."""
        self._frozen.set()
        self._frozen = threading.Event()

    def close(self):
        self._listening.close()
        for connection in self._open:
            connection.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other, self._frozen), daemon=True).start()

    @staticmethod
    def _pass(one, other, frozen):
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                if not frozen.is_set():
                    other.sendall(data)
            if not frozen.is_set():
                other.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy(server):
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


def test_a_connection_that_died_without_a_word_is_noticed_and_nothing_is_lost(server, proxy, open_page):
    server.push(lines("before"))
    page = open_page(f"http://127.0.0.1:{proxy.port}/", clock=True)
    expect(messages(page)).to_have_text(["before"])
    proxy.freeze()
    server.push(lines("while nobody heard"))
    page.clock.fast_forward(30_000)
    expect(messages(page)).to_have_text(["before", "while nobody heard"])


@pytest.fixture
def limited(tmp_path):
    """A server that allows one tail."""
    config = tmp_path / "tailrace.toml"
    config.write_text("[collect]\ndiscover = false\n[quota]\ntails_total = 1\n")
    server = Server(tmp_path / "limited", "--config", config, command="up")
    yield server
    server.stop()


def test_a_tail_over_a_limit_says_which_and_comes_when_there_is_room(limited, open_page):
    limited.push(lines("one"))
    first = open_page(limited.url)
    expect(messages(first)).to_have_text(["one"])
    second = open_page(f"{limited.url}/?q=one", forgive="429", clock=True)
    expect(second.locator("footer .state")).to_contain_text("limit tails_total reached")
    expect(second.locator("footer .state")).to_contain_text("goes on at")
    first.context.close()
    until(lambda: viewers(limited) == 0)
    second.clock.fast_forward(60_000)
    expect(messages(second)).to_have_text(["one"])


@pytest.mark.promise(17)
def test_a_stream_that_a_proxy_holds_back_is_replaced_by_polls(server, open_page):
    server.push(lines("before"))
    page = open_page("about:blank", clock=True)
    page.route(re.compile(r"/api/v1/tail\?"), lambda _: None)
    page.goto(server.url)
    expect(page.locator(".state")).to_contain_text("connecting")
    page.clock.fast_forward(5_000)
    expect(messages(page)).to_have_text(["before"])
    server.push(lines("and then"))
    expect(messages(page)).to_have_text(["before", "and then"])
