"""``tailrace tail --ui``, driven by keys, against a real server."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input, Static

from tailrace.cli.client import Client
from tailrace.cli.ui import Page, Watch
from tests.apps.programs import Server, environment


def push(server: Server, *messages: str, level: str = "info") -> None:
    lines = [{"message": message, "level": level, "service": "shop", "n": 7} for message in messages]
    server.push("".join(json.dumps(line) + "\n" for line in lines).encode())


def watching(server: Server, script: Callable[[Watch, Pilot[None]], Awaitable[None]], **parameters: Any) -> Watch:
    """Run the view over a server while the script presses its keys."""
    app = Watch(Client(server.url), {"q": None, **parameters}, [])

    async def run() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await comes(pilot, lambda: app.held.began)
            await script(app, pilot)

    asyncio.run(run())
    return app


async def comes(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait until something is true on the screen."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await pilot.pause(0.02)


def shown(app: Watch) -> list[str]:
    """Return the rows that are on the screen, as text."""
    rows = app.rows
    return [text for y in range(rows.size.height) if (text := rows.render_line(y).text.strip())]


def said(app: Watch, where: str) -> str:
    return str(app.screen_stack[0].query_one(where, Static).content)


def words(app: Watch) -> list[str]:
    return [line.rpartition("shop ")[2] for line in shown(app)]


def test_a_live_line_is_seen_and_the_end_is_followed(server: Server) -> None:
    async def script(app: Watch, pilot: Pilot[None]) -> None:
        push(server, *(f"live {n}" for n in range(100)))
        await comes(pilot, lambda: "live 99" in words(app))
        assert len(shown(app)) == app.rows.size.height
        assert "live" in said(app, "#state")
        assert "matched 100" in said(app, "#state")

    watching(server, script)


def test_a_pause_counts_what_waits_and_loses_nothing(server: Server) -> None:
    async def script(app: Watch, pilot: Pilot[None]) -> None:
        push(server, "before")
        await comes(pilot, lambda: words(app) == ["before"])
        await pilot.press("space")
        push(server, "one", "two", level="error")
        push(server, "three")
        await comes(pilot, lambda: "+3 (2 errors)" in said(app, "#state"))
        assert words(app) == ["before"]
        await pilot.press("space")
        await comes(pilot, lambda: words(app) == ["before", "one", "two", "three"])

    watching(server, script)


def test_what_a_pause_skipped_is_a_gap_that_can_be_fetched(server: Server) -> None:
    async def script(app: Watch, pilot: Pilot[None]) -> None:
        await pilot.press("space")
        push(server, "one", "two")
        await comes(pilot, lambda: app.held.waiting == 2)
        await pilot.press("G")
        assert "2 records" in shown(app)[0]
        push(server, "three")
        await comes(pilot, lambda: words(app)[-1] == "three")
        await pilot.press("g", "enter")
        await comes(pilot, lambda: words(app) == ["one", "two", "three"])

    watching(server, script)


def test_another_query_holds_for_what_was_seen_and_a_wrong_one_changes_nothing(server: Server) -> None:
    async def script(app: Watch, pilot: Pilot[None]) -> None:
        push(server, "apple", "pear", "apple pie")
        await comes(pilot, lambda: len(shown(app)) == 3)
        await pilot.press("f", *"pear", "enter")
        await comes(pilot, lambda: words(app) == ["pear"])
        await pilot.press("f")
        app.query_one("#entry", Input).value = "pear and ("
        await pilot.press("enter")
        await comes(pilot, lambda: "expected" in said(app, "#state"))
        assert (words(app), app.held.query) == (["pear"], "pear")
        assert app.query_one("#entry", Input).value == "pear and ("
        push(server, "pear again")
        await comes(pilot, lambda: words(app) == ["pear", "pear again"])
        app.query_one("#entry", Input).value = ""
        await pilot.press("enter")
        await comes(pilot, lambda: words(app) == ["apple", "pear", "apple pie", "pear again"])

    watching(server, script)


def test_details_show_the_fields_and_the_lines_around(server: Server) -> None:
    async def script(app: Watch, pilot: Pilot[None]) -> None:
        push(server, "neighbour", '{"inside": 1}')
        await comes(pilot, lambda: len(shown(app)) == 2)
        await pilot.press("enter")
        page = app.screen
        assert isinstance(page, Page)
        await comes(pilot, lambda: "▸" in page.text.plain)
        assert '"inside": 1' in page.text.plain
        assert "neighbour" in page.text.plain
        await pilot.press("escape")
        assert not isinstance(app.screen, Page)

    watching(server, script)


def test_a_search_goes_through_what_is_held(server: Server) -> None:
    async def script(app: Watch, pilot: Pilot[None]) -> None:
        push(server, "apple 1", *(f"line {n}" for n in range(60)), "apple 2")
        await comes(pilot, lambda: "apple 2" in words(app))
        await pilot.press("slash", *"apple", "enter")
        found = [app.rows.selected]
        await pilot.press("n")
        found.append(app.rows.selected)
        assert [app.held.rows[number].text for number in found if number is not None] == ["apple 2", "apple 1"]
        assert "apple 1" in words(app)
        await pilot.press("slash", *"nowhere", "enter")
        await comes(pilot, lambda: "not found" in said(app, "#state"))

    watching(server, script)


def test_scrolling_up_stays_where_it_is_while_lines_come(server: Server) -> None:
    async def script(app: Watch, pilot: Pilot[None]) -> None:
        push(server, *(f"old {n}" for n in range(50)))
        await comes(pilot, lambda: "old 49" in words(app))
        await pilot.press("pageup", "pageup")
        before = words(app)
        push(server, "new")
        await comes(pilot, lambda: app.held.matched == 51)
        assert (words(app), "new" in before) == (before, False)
        await pilot.press("G")
        await comes(pilot, lambda: "new" in words(app))

    watching(server, script)


def test_a_server_that_is_gone_shows_and_the_view_goes_on_when_it_is_back(start: Any, tmp_path: Any) -> None:
    one = start(name="one")

    async def script(app: Watch, pilot: Pilot[None]) -> None:
        push(one, "before")
        await comes(pilot, lambda: words(app) == ["before"])
        one.stop(signal.SIGKILL)
        await comes(pilot, lambda: "reconnecting" in said(app, "#state"))
        again = start("--listen", f"127.0.0.1:{one.port}", name="one")
        push(again, "after")
        await comes(pilot, lambda: words(app)[-1] == "after")
        assert "reconnects 1" in said(app, "#state")
        assert words(app).count("before") == 1

    watching(one, script)


def test_a_tail_that_is_refused_at_once_ends_and_says_why(server: Server) -> None:
    app = Watch(Client(server.url), {"q": "level:("}, [])

    async def run() -> None:
        async with app.run_test() as pilot:
            await comes(pilot, lambda: app.failure)

    asyncio.run(run())
    assert "expected" in str(app.failure)


def test_help_fits_a_small_terminal(server: Server) -> None:
    async def script(app: Watch, pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        assert isinstance(app.screen, Page)
        assert app.screen.query_one("VerticalScroll").max_scroll_y == 0

    watching(server, script)


def test_without_textual_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['textual'] = None; from tailrace.cli import main; sys.exit(main(['tail', '--ui']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), timeout=60, check=False)
    assert (done.returncode, b"pip install 'tailrace[ui]'" in done.stderr) == (2, True)
