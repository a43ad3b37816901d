"""The hub: one reader of the bus for everyone who watches.

Purpose. Each batch is read once; distinct views (queries by their canonical text, and what is asked besides) are
evaluated once per batch for all their tails, those that are nothing but a query together; a frame is encoded once per
transport, the same bytes go to all. Publishing never waits for anyone.

Rules.
  wake     The bus calls from its own thread after a commit; that becomes at most one call into the event loop.
  round    One round reads what is new, evaluates it for each group, publishes it. Quiet: at once. Under load the hub
           rests ``COALESCE_REST`` times as long as the round took (COALESCE_MS_MAX at most), and gathers.
           Small ones are evaluated on the loop, larger in a thread.
  logs     Where the bus is several logs (partitions), what was read of each is a round by itself. A tail may know more
           of one than the hub, because another server was faster: it reads what it lacks of others, and waits.
  group    The tails of one view (group.py). Where a view with context begins, what came before is read first, in a
           thread; the rounds of that time wait. When they are too many, the group is let go.
  behind   A tail that is not live reads for itself (catchup.py) in one of a few threads, in bounded steps, and only
           while its queue has room; within TAIL_CATCH_UP_ROWS of the hub it attaches and reads the rest. One that was
           live and is further behind than its ``behind_max`` skips to where the hub is: what matched in between is
           counted, and said in a gap.
  quota    Rows are charged to whoever watches before they are handed over. Who may have no more gets an end with the
           checkpoint before them, from which it goes on when it may (access/quota.py).
  idle     Without groups the bus is not read at all, and need not follow what another machine keeps.
  fault    A round that fails ends all tails and says so, and the hub lets nobody in any more: nobody waits for nothing.
  crash    The hub keeps nothing that a client could need: its checkpoint is with the client, the records on the bus.

Everything but the steps in threads runs on one event loop; nothing here is locked while a client is served.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tailrace.access.quota import Account
from tailrace.bus import Log
from tailrace.cursor import Checkpoint, Position
from tailrace.errors import Closed, Gone, TailraceError
from tailrace.frame import Gap
from tailrace.limits import (
    COALESCE_MS_MAX,
    COALESCE_REST,
    TAIL_BEHIND_ROWS_MAX,
    TAIL_CATCH_UP_ROWS,
    TAIL_INLINE_ROWS,
    TAIL_ROUND_BYTES,
    TAIL_ROUNDS_WAIT_BYTES,
    TAIL_YIELD_TAILS,
)
from tailrace.record import Batch
from tailrace.store import Cancelled
from tailrace.tail.catchup import CatchUp, Elsewhere, History, contiguous
from tailrace.tail.evaluate import Chunk, Encode, Evaluated, by_log
from tailrace.tail.group import Group, HubStats, evaluate_groups, timed
from tailrace.tail.start import After, Last, Now, Since, Start, is_known
from tailrace.tail.subscription import State, resume
from tailrace.tail.view import View
from tailrace.tail.viewer import Viewer

T = TypeVar("T")
_FAILED = "The server has failed; its log says why. Connect again in a moment."


class Hub:
    """See the head of this module. Everything is called on the event loop that called ``start``."""

    def __init__(self, bus: Log, history: History) -> None:
        """Make a hub over a bus, and over the history that tails read to catch up."""
        self.bus = bus
        self.history = history
        self._head = bus.next
        self._groups: dict[str, Group] = {}
        self._viewers: dict[Viewer, None] = {}
        self._woken = asyncio.Event()
        self._signalled = False
        self._threads = ThreadPoolExecutor(2, "tail")
        self._evaluator = ThreadPoolExecutor(1, "tail-hub")
        self._progressed: asyncio.Future[None] | None = None
        self._round: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._off: Callable[[], None] | None = None
        self._rows_published = self._rows_delivered = self._rounds = 0
        self._evaluated_s = 0.0
        self._closed = self._failed = False

    def start(self) -> None:
        """Begin to follow the bus, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._round = self._loop.create_task(self._follow(), name="tail hub")
        self._round.add_done_callback(_loudly)

    def _committed(self) -> None:
        # A hint between two threads: one too many is harmless, and none is lost, for it is cleared before reading.
        if not self._signalled and self._loop is not None:
            self._signalled = True
            try:
                self._loop.call_soon_threadsafe(self._woken.set)
            except RuntimeError:
                if not self._loop.is_closed():
                    raise

    def _heed(self) -> None:
        """Be called by the bus while there are groups."""
        if self._groups and self._off is None:
            self._off = self.bus.on_commit(self._committed)
        elif not self._groups and self._off is not None:
            self._off()
            self._off = None

    async def close(self, why: str = "The server is stopping; connect again.") -> None:
        """Send every tail its end, and stop. Clients resume from their checkpoints."""
        self._closed = True
        self._end_all(why)
        for group in self._groups.values():
            if group.priming is not None:
                group.priming.cancel()
        if self._round is not None:
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)
        self._groups.clear()
        self._heed()
        for threads in (self._threads, self._evaluator):
            threads.shutdown(wait=False, cancel_futures=True)

    def open(
        self,
        view: View,
        start: Start,
        encode: Encode,
        behind_max: int = TAIL_BEHIND_ROWS_MAX,
        account: Account | None = None,
    ) -> Viewer:
        """Add a tail; further behind than ``behind_max`` records it skips what it was too slow for (0: never).

        Raises OverQuota when the account has too many, QueryError when the query cannot be live.
        """
        view.query.check_live()
        if self._closed:
            raise Closed("the server is stopping", cure="Connect again in a moment.")
        if self._failed:
            raise Closed("no tail can be followed any more", cure="Restart the server; its log says what failed.")
        if account is not None:
            account.open_tail(time.monotonic())
        key = view.key
        group = self._groups.get(key)
        if group is not None:
            view, key = group.view, group.key
        viewer = Viewer(self, view, key, encode, self._now(), behind_max=behind_max)
        viewer.bill(account)
        self._viewers[viewer] = None
        if not is_known(start, self.bus.next):
            viewer.task = asyncio.get_running_loop().create_task(self._begin_later(viewer, viewer.reader, start))
            viewer.task.add_done_callback(_loudly)
            return viewer
        if isinstance(start, After):
            self._resume(viewer, start)
        viewer.begin()
        self.proceed(viewer)
        return viewer

    def _resume(self, viewer: Viewer, start: After) -> None:
        """Set where a client goes on that has been here, or at another server, before."""
        position, gaps = resume(start.checkpoint, self.bus.next)
        viewer.subscription.move(position)
        for gap in gaps:
            viewer.subscription.missing(gap)
        if start.past is not None and not gaps and not start.past[1] <= position:
            viewer.reader.since(*start.past)
            viewer.subscription.move(position, counted_from=start.past[1])

    def reader(self, view: View) -> CatchUp:
        """Return what reads for one tail that is behind."""
        return CatchUp(self.bus, self.history, view)

    def proceed(self, viewer: Viewer) -> None:
        """See to it that a tail that is behind gets on: it attaches, or a task reads for it."""
        subscription = viewer.subscription
        if not subscription.reading or viewer.task is not None or viewer not in self._viewers:
            return
        if subscription.state is State.BEHIND and subscription.position == self._attachable(viewer):
            self._attach(viewer)
        else:
            viewer.task = asyncio.get_running_loop().create_task(self._catch_up(viewer), name="tail behind")
            viewer.task.add_done_callback(_loudly)

    def settle(self, viewer: Viewer) -> None:
        """Move a live tail's position behind what did not match."""
        group = self._groups.get(viewer.key)
        if group is not None and viewer in group.viewers:
            viewer.subscription.settled(group.settled)

    def leave(self, viewer: Viewer) -> None:
        """Forget a tail."""
        self._viewers.pop(viewer, None)
        account, viewer.account = viewer.account, None
        if account is not None:
            account.close_tail()
        self._detach(viewer)
        viewer.cancel()
        if viewer.task is None:
            self._drop(viewer)

    def stats(self) -> HubStats:
        """Return what the hub does, for metrics."""
        return HubStats(len(self._viewers), len(self._groups), self._rows_published, self._rows_delivered, self._rounds)

    def _end_all(self, why: str) -> None:
        for viewer in list(self._viewers):
            viewer.cancel()
            self.settle(viewer)
            viewer.subscription.end(why)
            viewer.on_news()

    def _now(self) -> Position:
        """Return the position from which on a group that is made now gets everything."""
        if not self._groups:
            self._head = self.bus.next
        return self._head

    def _attachable(self, viewer: Viewer) -> Position:
        group = self._groups.get(viewer.key)
        return self._now() if group is None else group.position

    def _attach(self, viewer: Viewer) -> None:
        at = self._attachable(viewer)
        group = self._groups.get(viewer.key)
        if group is None:
            group = self._groups[viewer.key] = Group(viewer.view, viewer.key, at)
            self._heed()
            if group.view.context:
                group.priming = asyncio.get_running_loop().create_task(self._prime(group))
            # What was committed before this group was made, and after ``at``, has to be read by a round.
            self._woken.set()
        group.viewers[viewer] = None
        viewer.subscription.attached(at)

    def _detach(self, viewer: Viewer) -> None:
        group = self._groups.get(viewer.key)
        if group is not None:
            group.viewers.pop(viewer, None)
            if not group.viewers:
                del self._groups[viewer.key]
                self._heed()
                self._report_progress()

    async def _prime(self, group: Group) -> None:
        """Read what came before a group, which then takes part in the rounds."""
        try:
            group.evaluation = await self._in_thread(self.reader(group.view).primed, group.position)
        except TailraceError as error:
            for viewer in group.viewers:
                viewer.subscription.end(str(error))
                viewer.on_news()
        self._woken.set()

    async def _next_round(self) -> None:
        """Wait until the hub's position may have moved."""
        if self._progressed is None:
            self._progressed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._progressed)

    def _report_progress(self) -> None:
        if self._progressed is not None:
            self._progressed.set_result(None)
            self._progressed = None

    # -- rounds ----------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        try:
            await self._rounds_for_ever()
        except Exception as fault:
            # Of the world or of the program: nobody may wait for a hub that follows no more.
            self._failed = True
            self._end_all(f"The tail cannot go on: {fault}" if isinstance(fault, TailraceError) else _FAILED)
            raise

    async def _rounds_for_ever(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            self._signalled = False
            began = time.thread_time()
            while self._groups and await self._one_round():
                # One turn of the loop: what was handed out is being written to the sockets, and counts as work.
                await asyncio.sleep(0)
                # The thread's own time: on a busy machine the clock would count the work of others.
                used_s = time.thread_time() - began + self._evaluated_s
                await asyncio.sleep(min(COALESCE_REST * used_s, COALESCE_MS_MAX / 1000))
                began = time.thread_time()

    async def _one_round(self) -> bool:
        """Read what is new, evaluate and publish it, log by log; tell whether there was anything."""
        head = self._head
        try:
            logs = [contiguous(log) for log in by_log(self.bus.recent(head, TAIL_ROUND_BYTES))]
        except Gone:
            logs = None
        if logs is None or any((head.get(log[0].epoch) or log[0].first.beginning) < log[0].first for log in logs):
            self._lose_place()
            return True
        for log in logs or [list[Batch]()]:
            # Everybody may have gone while the log before was handed out, and others have come: they begin elsewhere.
            if self._head is not head:
                break
            head = head.with_cursor(log[-1].next) if log else head
            if not await self._round_of(log, head):
                return False
        return True

    async def _round_of(self, batches: list[Batch], end: Position) -> bool:
        """Evaluate and publish what is new in one log, up to ``end``, and what waits; tell whether there was any."""
        groups = list(self._groups.values())
        for group in groups:
            group.waiting += batches
        ready = [group for group in groups if group.is_ready]
        if not batches and not ready:
            return False
        self._head = end
        # Who attaches from here on, while this round is evaluated in a thread or handed out, begins at its end.
        ready.sort(key=lambda group: group.plan is None)
        members = [list(group.viewers) for group in ready]
        for group in ready:
            group.position = self._head
        inline = sum(len(batch) for group in ready for batch in group.waiting) <= TAIL_INLINE_ROWS
        await self._hand_out(evaluate_groups(ready, self._head), members, inline=inline)
        for group in ready:
            group.settled = group.position
        for group in groups:
            if sum(batch.nbytes for batch in group.waiting) > TAIL_ROUNDS_WAIT_BYTES:
                self._let_go([group])
        self._rounds += 1
        self._report_progress()
        return True

    async def _hand_out(self, found: Evaluated, members: list[list[Viewer]], *, inline: bool) -> None:
        """Evaluate, and give the members of each group what was found for it."""
        loop, self._evaluated_s = asyncio.get_running_loop(), 0.0
        done = handed = 0
        while done < len(members):
            some, cpu_s = (next(found), 0.0) if inline else await loop.run_in_executor(self._evaluator, timed, found)
            self._evaluated_s += cpu_s
            now_s = time.monotonic()
            for viewers, chunks in zip(members[done:], some, strict=False):
                self._rows_published += sum(len(chunk.records) for chunk in chunks)
                for viewer in viewers if chunks else ():
                    self._publish(viewer, chunks, now_s)
                    if (handed := handed + 1) % TAIL_YIELD_TAILS == 0:
                        await asyncio.sleep(0)
            done += len(some)

    def _lose_place(self) -> None:
        """Go on at the end of the bus, because what follows is gone: each tail finds out for itself what it missed."""
        self._head = self.bus.next
        self._let_go(list(self._groups.values()))

    def _let_go(self, groups: list[Group]) -> None:
        """Have all tails of some groups read for themselves."""
        lost = [viewer for group in groups for viewer in group.viewers]
        for viewer in lost:
            self.settle(viewer)
            viewer.subscription.let_go()
        # All groups go before anybody goes on: who met the rest of its group would attach to it where it was lost.
        for group in groups:
            self._groups.pop(group.key, None)
        self._heed()
        self._report_progress()
        for viewer in lost:
            self.proceed(viewer)

    def _publish(self, viewer: Viewer, chunks: list[Chunk], now_s: float) -> None:
        for chunk in chunks:
            may = not viewer.charged or viewer.charge(len(chunk.records), chunk.size, now_s)
            if not may or not viewer.subscription.published(chunk):
                self._detach(viewer)
                self.proceed(viewer)
                break
            self._rows_delivered += len(chunk.records)
        viewer.on_news()

    # -- catching up -----------------------------------------------------------------------------------------------

    async def _begin_later(self, viewer: Viewer, reader: CatchUp, start: Start) -> None:
        try:
            await self._locate(viewer, reader, start)
        except Cancelled:
            return  # The hub closes, or the client left, or has all that it asked for.
        except TailraceError as error:
            # The client comes back to where it is, or asks again; where the hub stands means nothing to it.
            viewer.subscription.move(start.checkpoint if isinstance(start, After) else Checkpoint())
            viewer.subscription.end(str(error))
        except Exception:
            viewer.subscription.end(_FAILED)
            viewer.begin()
            raise
        finally:
            self._task_done(viewer)
        viewer.begin()
        self.proceed(viewer)

    async def _locate(self, viewer: Viewer, reader: CatchUp, start: Start) -> None:
        """Set where a tail begins, when store or bus have to be asked."""
        subscription, now = viewer.subscription, viewer.subscription.position
        if callable(start):
            subscription.move(await start(viewer))
            return
        if isinstance(start, After | Now) or not now.cursors:
            now = await self._in_thread(self.bus.newest, start.checkpoint if isinstance(start, After) else None)
        if isinstance(start, After):
            self._resume(viewer, start)
        elif isinstance(start, Last):
            subscription.move(await self._in_thread(reader.last, start.count, now))
        elif isinstance(start, Since):
            reader.since(start.time_ns, now)
            subscription.move(await self._in_thread(reader.oldest, now), counted_from=now)
        else:
            subscription.move(now)

    async def _catch_up(self, viewer: Viewer) -> None:
        """Read for one tail until it is live, has no room, or is gone."""
        subscription = viewer.subscription
        self._renew(viewer)
        try:
            while subscription.reading and viewer in self._viewers:
                at = self._attachable(viewer) if subscription.joined_at is None else subscription.joined_at
                if at < subscription.position:
                    # The client knows of a commit that the hub has not come to yet.
                    await self._next_round()
                elif self._too_far_behind(viewer, at):
                    for skipped in await self._in_thread(viewer.reader.skip, subscription.position, at):
                        self._take(viewer, skipped)
                    viewer.on_news()
                elif subscription.joined_at is None and _is_near(subscription.position, at):
                    self._attach(viewer)
                else:
                    found = await self._in_thread(viewer.reader.step, subscription.position, at)
                    for one in [found] if isinstance(found, Gap) else found:
                        self._take(viewer, one)
                    viewer.on_news()
        except Cancelled:
            pass  # The hub closes, or the client left.
        except Elsewhere:
            self._detach(viewer)
            subscription.stray()
            viewer.on_news()
        except TailraceError as error:
            subscription.end(str(error))
        except Exception:
            subscription.end(_FAILED)
            viewer.on_news()
            raise
        finally:
            self._task_done(viewer)
        viewer.on_news()  # It is over, or live: both are news, though nothing may be queued.
        self.proceed(viewer)

    def _renew(self, viewer: Viewer) -> None:
        """Have a tail go on in the logs that there are, when some that it was reading were made anew meanwhile."""
        position, end = viewer.subscription.position, self.bus.next
        if any(seen.offset and end.get(seen.epoch) is None for seen in position.cursors):
            self._resume(viewer, After(Checkpoint(position.cursors)))

    def _too_far_behind(self, viewer: Viewer, at: Position) -> bool:
        subscription = viewer.subscription
        live_once = subscription.state is State.BEHIND and subscription.was_live
        return live_once and 0 < viewer.behind_max < at - subscription.position

    def _take(self, viewer: Viewer, found: Chunk | Gap) -> None:
        if isinstance(found, Gap):
            viewer.subscription.missing(found)
        elif not viewer.charged or viewer.charge(len(found.records), found.size, time.monotonic()):
            viewer.subscription.read(found)
        else:
            self._detach(viewer)

    def _task_done(self, viewer: Viewer) -> None:
        viewer.task = None
        if viewer not in self._viewers or viewer.subscription.state is State.LIVE:
            self._drop(viewer)

    def _drop(self, viewer: Viewer) -> None:
        reader = viewer.take_reader()
        if reader is not None and reader.is_open and not self._closed:
            self._threads.submit(reader.close)

    def _in_thread(self, call: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *args)


def _is_near(position: Position, at: Position) -> bool:
    """Tell whether a tail is so little behind that it may attach, and read the rest beside what it then gets."""
    return position <= at and at - position <= TAIL_CATCH_UP_ROWS


def _loudly(task: asyncio.Task[None]) -> None:
    """Say at once what a task failed of: nobody waits for it."""
    if not task.cancelled() and (fault := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": f"{task.get_name()} failed", "exception": fault})
