"""``tailrace tail --ui``: a tail that fills the terminal, with search, pause, filter and details.

A thread reads the tail (frames.Reader); ten times a second the screen takes what came, for a bounded time, puts it
into the state (held.Held) and draws the lines that can be seen, so that drawing costs the same at any rate. What cannot
be taken in time waits in the reader, then at the server, and comes later: nothing is dropped here.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from tailrace.cli.client import Client
from tailrace.cli.frames import Reader, stretch
from tailrace.cli.held import Held, Row
from tailrace.cli.lines import Highlights, compiled
from tailrace.errors import ConfigError, TailraceError
from tailrace.limits import UI_CONTEXT_ROWS, UI_DRAW_S, UI_FILL_ROWS_MAX, UI_TURN_S
from tailrace.text import count_text

try:
    from rich.style import Style
    from rich.text import Text
    from textual import events, work
    from textual.app import App, ComposeResult
    from textual.binding import Binding
    from textual.containers import VerticalScroll
    from textual.geometry import Size
    from textual.screen import ModalScreen
    from textual.scroll_view import ScrollView
    from textual.strip import Strip
    from textual.widgets import Input, Static
except ImportError as error:
    raise ConfigError(
        f"--ui needs the library textual ({error})", cure="Install it: pip install 'tailrace[ui]'"
    ) from error

from tailrace.cli.screen import Painter, around, details

_ROW = Style(bgcolor="#161b24")
_SELECTED = Style(bgcolor="#2b3648")
_HELP = """\
 space    pause; again: go on exactly there
 G  end   follow the newest (while paused: skip what waited)
 g  home  the oldest line that is held
 ↑ ↓ k j  one line; page up and down: a screen
 ← →      move long lines sideways
 enter    details of a line; fetch what a gap leaves out
 /  n  N  find in what is held, a word or /regex/; next, previous
 f        change the query, back to where the tail began
 h        words to mark, without filtering
 q        quit

 A yellow row is a gap: how many lines are missing, and why.
 The line below the rows: state, lines a second, how far behind."""


def run(args: argparse.Namespace) -> int:
    """Show the tail until its person has seen enough."""
    from tailrace.cli.tail import parameters_of

    app = Watch(Client(args.server), parameters_of(args), args.highlight)
    app.run()
    if app.failure is not None:
        raise app.failure
    return 0


class Rows(ScrollView, can_focus=True):
    """The rows; only those that can be seen are made. Follows the end until somebody scrolls up."""

    BINDINGS: ClassVar = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup,ctrl+b", "page(-1)", show=False),
        Binding("pagedown,ctrl+f", "page(1)", show=False),
        Binding("left", "sideways(-1)", show=False),
        Binding("right", "sideways(1)", show=False),
    ]

    def __init__(self, held: Held, painter: Painter) -> None:
        super().__init__()
        self.held, self.painter = held, painter
        self.following = True
        self.selected: int | None = None
        self.aside = 0
        self._first = held.first

    def came(self) -> None:
        """Draw what has changed."""
        gone, self._first = self.held.first - self._first, self.held.first
        size = Size(self.size.width, len(self.held.rows))
        if self.virtual_size != size:
            self.virtual_size = size
        if self.following:
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True)
        elif gone:
            self.scroll_to(y=max(0, self.scroll_offset.y - gone), animate=False, force=True)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line of the screen."""
        number = self.held.first + self.scroll_offset.y + y
        row, width = self.held.row(number), self.size.width
        if row is None:
            return Strip.blank(width, _ROW)
        line = self.painter.row(row)
        strip = Strip(line.render(self.app.console)).crop(self.aside, self.aside + width)
        return strip.extend_cell_length(width).apply_style(_SELECTED if number == self.selected else _ROW)

    def action_move(self, step: int) -> None:
        """Select the next or the previous row."""
        start = self.held.end if self.selected is None else max(self.selected, self.held.first)
        self.select(start + step)

    def action_page(self, step: int) -> None:
        """Select a row that is a screen away."""
        start = self.held.end if self.selected is None else self.selected
        self.select(start + step * max(1, self.size.height - 1))

    def action_sideways(self, step: int) -> None:
        """Move long lines."""
        self.aside = max(0, self.aside + step * (self.size.width // 3))
        self.refresh()

    def select(self, number: int) -> None:
        """Select a row, and have it seen."""
        self.selected = max(self.held.first, min(self.held.end - 1, number))
        self.following = self.selected == self.held.end - 1
        at, top = self.selected - self.held.first, self.scroll_offset.y
        if not top <= at < top + self.size.height:
            self.scroll_to(y=at if at < top else at - self.size.height + 1, animate=False, force=True)
        self.refresh()

    def follow(self) -> None:
        """Go to the end and stay there."""
        self.following, self.selected = True, None
        self.came()

    def on_mouse_scroll_up(self, _event: events.MouseScrollUp) -> None:
        """Stop following."""
        self.following = False

    def on_mouse_scroll_down(self, _event: events.MouseScrollDown) -> None:
        """Follow again at the end."""
        self.following = self.scroll_offset.y >= self.max_scroll_y - 1

    def on_click(self, event: events.Click) -> None:
        """Select the row; the selected one again: its details."""
        number = self.held.first + self.scroll_offset.y + event.y
        if number == self.selected:
            self.app.action_open()  # pyright: ignore[reportAttributeAccessIssue]
        elif self.held.row(number) is not None:
            self.select(number)


class Page(ModalScreen[None]):
    """Text over the rows: details of a record, or help."""

    BINDINGS: ClassVar = [
        Binding("escape,q,enter,question_mark", "dismiss(None)", show=False),
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
    ]

    def __init__(self, title: str, text: Text | str) -> None:
        super().__init__()
        self._title, self.text = title, Text.assemble(text)

    def compose(self) -> ComposeResult:
        """Make the box."""
        with VerticalScroll() as box:
            box.border_title = self._title
            box.border_subtitle = "esc closes"
            yield Static(self.text)

    def add(self, text: Text) -> None:
        """Write more below."""
        self.text.append_text(text)
        self.query_one(Static).update(self.text)

    def action_down(self) -> None:
        """Scroll down."""
        self.query_one(VerticalScroll).scroll_down(animate=False)

    def action_up(self) -> None:
        """Scroll up."""
        self.query_one(VerticalScroll).scroll_up(animate=False)


class Watch(App[None]):
    """The program; see the head of this module."""

    TITLE = "tailrace"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: #161b24; color: #d7dde6; }
    #head, #state, #keys { height: 1; padding: 0 1; background: #212936; }
    #keys { color: #8a97a8; }
    Rows { height: 1fr; padding: 0 1; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1; }
    Rows { scrollbar-background: #161b24; scrollbar-color: #38455a; }
    #entry { height: 1; border: none; padding: 0 1; background: #2b3648; display: none; }
    #entry.open { display: block; }
    Page { align: center middle; background: #0c0f15 60%; }
    Page VerticalScroll { width: 92%; max-width: 120; height: auto; max-height: 90%; padding: 1 2; background: #1c2230;
        scrollbar-size-vertical: 1; scrollbar-background: #1c2230; scrollbar-color: #38455a;
        border: round #4a5a75; border-title-color: #6cb6e0; border-subtitle-color: #8a97a8; }
    """
    BINDINGS: ClassVar = [
        Binding("space", "pause", priority=False),
        Binding("f", "ask('f')"),
        Binding("slash", "ask('/')"),
        Binding("h", "ask('h')"),
        Binding("n", "find(1)"),
        Binding("N", "find(-1)"),
        Binding("enter", "open"),
        Binding("G,end", "newest"),
        Binding("g,home", "oldest"),
        Binding("question_mark", "help"),
        Binding("escape", "leave", show=False),
        Binding("q", "quit"),
    ]

    def __init__(self, server: Client, parameters: dict[str, Any], words: list[str]) -> None:
        """Watch what the parameters of a tail say, with ``words`` marked."""
        super().__init__()
        self.server, self._parameters, self._words = server, parameters, words
        self.held = Held(parameters.get("q") or "", parameters.get("context") or 0)
        self.painter = Painter(Highlights(self.held.query, words))
        self.failure: TailraceError | None = None
        self.rows = Rows(self.held, self.painter)
        self._head, self._state = Static(id="head"), Static(id="state")
        self._entry = Input(id="entry", compact=True)
        self._reader = Reader(server, parameters)
        self._asked = ""
        self._said = ""
        self._accepted = ""

    def compose(self) -> ComposeResult:
        """Make the screen."""
        yield self._head
        yield self.rows
        yield self._entry
        yield self._state
        yield Static(" space pause  f filter  / find  h mark  enter details  ? help  q quit", id="keys")

    def on_mount(self) -> None:
        """Begin."""
        self.rows.focus()
        self.set_interval(UI_DRAW_S, self._turn)
        self._turn()

    def on_unmount(self) -> None:
        """Let go of the server."""
        self._reader.close()

    # -- what comes ------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Take what came, and draw."""
        now_s = time.monotonic()
        if not self.rows.is_attached:  # it ends
            return
        try:
            while time.monotonic() < now_s + UI_TURN_S and (event := self._reader.next()) is not None:
                self.held.take(event, now_s)
                self._accepted = self.held.query
        except TailraceError as error:
            self._refused(error)
        self.rows.came()
        self._draw_state(now_s)

    def _refused(self, error: TailraceError) -> None:
        """Go back to the query before, when a new one is refused; otherwise there is nothing to show."""
        if not self.held.began or self.held.query == self._accepted:
            self.failure = error
            self.exit()
            return
        asked = self.held.query
        self._said = error.message
        self.held.keep(self._accepted)
        self._mark(self._words)
        self._read(self.held.checkpoint)
        self._ask("f", asked)

    def _read(self, after: str) -> None:
        self._reader.close()
        begin = {"after": after, "last": None, "since": None} if after else {}
        self._parameters = {**self._parameters, **begin, "q": self.held.query or None}
        self._reader = Reader(self.server, self._parameters)

    def _draw_state(self, now_s: float) -> None:
        held = self.held
        head = Text.assemble(("tailrace ", "bold #6cb6e0"), (held.query or "everything", "bold"))
        head.append(f"   {self.server.url}", "#76839a")
        self._head.update(head)
        if held.paused:
            errors = f" ({held.waiting_errors:,} errors)" if held.waiting_errors else ""
            state = Text(f"■ paused +{held.waiting:,}{errors} · space: go on there · G: now", "bold #e5b454")
        elif held.state != "live":
            state = Text(f"◌ {held.state}", "bold #e5b454")
        else:
            state = Text("● live" if self.rows.following else "● live, scrolled up · G: newest", "bold #5fb98e")
        figures = [f"{count_text(held.rate(now_s))}/s", f"lag {held.lag_ms:.0f} ms", f"matched {held.matched:,}"]
        rare = {"sampled away": held.sampled, "gaps": held.gaps, "reconnects": held.reconnects, "let go": held.let_go}
        figures += [f"{name} {count:,}" for name, count in rare.items() if count]
        state.append("  " + " · ".join(figures), "not bold #d7dde6")
        if self._said:
            state.append(f"  {self._said}", "not bold #ff9f5a")
        self._state.update(state)

    # -- keys ------------------------------------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Stand still, or go on exactly there."""
        if not self.held.paused:
            self.held.pause()
        elif after := self.held.resume():
            self._read(after)
        self._turn()

    def action_newest(self) -> None:
        """Follow; what a pause has kept waiting is skipped."""
        if self.held.paused:
            self.held.skip()
        self.rows.follow()

    def action_oldest(self) -> None:
        """Go to the oldest row."""
        self.rows.select(self.held.first)

    def action_ask(self, what: str) -> None:
        """Let something be typed."""
        self._ask(what, {"f": self.held.query, "h": " ".join(self._words)}.get(what, ""))

    def _ask(self, what: str, text: str) -> None:
        self._asked = what
        entry = self._entry
        entry.placeholder = {"f": "query", "h": "words to mark", "/": "find a word, or /regex/"}[what]
        entry.value = text
        entry.add_class("open")
        entry.focus()
        entry.cursor_position = len(text)

    def action_leave(self) -> None:
        """Close what is open."""
        self._entry.remove_class("open")
        self.painter.found, self._said = None, ""
        self.rows.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do what was typed."""
        event.input.remove_class("open")
        self.rows.focus()
        self._said, text = "", event.value.strip()
        try:
            if self._asked == "/":
                self.painter.found = compiled(text) if text else None
                self.action_find(-1)
            elif self._asked == "h":
                self._mark(text.split())
            elif text != self.held.query:
                self._read(self.held.restart(text))
                self._mark(self._words)
        except ConfigError as error:
            self._said = error.message

    def _mark(self, words: list[str]) -> None:
        self.painter.highlights = Highlights(self.held.query, words)
        self._words = words

    def action_find(self, step: int) -> None:
        """Go to the next row that has what was looked for."""
        pattern, rows = self.painter.found, self.rows
        if pattern is None:
            return
        start = self.held.end - 1 if rows.selected is None else rows.selected + step
        number = self.held.find(pattern.search, start, step)
        self._said = "" if number is not None else "not found in what is held"
        if number is not None:
            rows.select(number)

    def action_open(self) -> None:
        """Show the details of the selected row, or fetch what a gap leaves out."""
        rows = self.rows
        number = self.held.end - 1 if rows.selected is None else rows.selected
        row = self.held.row(number)
        if row is None:
            return
        rows.select(number)
        if row.kind == "gap" and row.data["from"]:
            self._said = "fetching …"
            self._fill(number, row)
        elif row.kind == "record":
            page = Page("record", details(row.data))
            self.push_screen(page)
            self._add_context(page, row.data["cursor"])

    def action_help(self) -> None:
        """Say which keys there are."""
        self.push_screen(Page("keys", _HELP))

    @work(thread=True)
    def _add_context(self, page: Page, cursor: str) -> None:
        asked = {"cursor": cursor, "before": UI_CONTEXT_ROWS, "after": UI_CONTEXT_ROWS}

        def read() -> Text:
            found = self.server.json("/api/v1/context", asked)
            return around(found["records"], found["index"])

        self._later(read, page.add)

    @work(thread=True)
    def _fill(self, number: int, row: Row) -> None:
        def read() -> list[Any]:
            frames, count = [], 0
            for frame in stretch(self.server, self.held.query or None, row.data["from"], row.data["to"]):
                frames.append(frame)
                count += len(frame.records()) if frame.event == "rows" else 0
                if count >= UI_FILL_ROWS_MAX:
                    break
            return frames

        def put(frames: list[Any]) -> None:
            self._said = f"{self.held.fill(number, frames, UI_FILL_ROWS_MAX):,} rows fetched"

        self._later(read, put)

    def _later(self, read: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Ask the server in this thread, and show the answer, or why there is none, on the screen."""
        try:
            found = read()
        except TailraceError as error:
            self.call_from_thread(setattr, self, "_said", error.message)
        except OSError as error:
            self.call_from_thread(setattr, self, "_said", str(error))
        else:
            self.call_from_thread(partial(then, found))
