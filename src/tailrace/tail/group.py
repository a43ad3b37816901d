"""The tails of one view, as the hub's rounds see them.

``position`` is the end of the newest round that was taken up for the group: a tail that attaches gets everything from
there on. ``settled`` is the end of what has been handed to all of its tails.

A view that is nothing but a query has a ``plan``: such groups are evaluated together, each round at once. Another one
has an ``evaluation``, which a view with context has only when what came before it was read: until then the batches wait
here, and nobody's position moves, so that who attaches meanwhile gets all of them.

A round is about one log. So what waits is of one log, but where it waited.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.cursor import Position
from tailrace.query.together import Plan
from tailrace.record import Batch
from tailrace.tail.evaluate import Chunk, Evaluated, evaluate_together
from tailrace.tail.view import Evaluation, View
from tailrace.tail.viewer import Viewer


@dataclass(frozen=True, slots=True)
class HubStats:
    """What the hub does: tails and distinct queries now; rows found by queries and rows handed to tails so far."""

    viewers: int
    queries: int
    rows_published: int
    rows_delivered: int
    rounds: int


class Group:
    """See the head of this module."""

    __slots__ = ("evaluation", "key", "plan", "position", "priming", "settled", "view", "viewers", "waiting")

    def __init__(self, view: View, key: str, position: Position) -> None:
        """Begin at ``position``; with context, when ``evaluation`` is set."""
        self.view = view
        self.key = key
        self.plan = Plan(view.query) if view.is_plain else None
        self.evaluation = None if view.is_plain or view.context else Evaluation(view)
        self.position = position
        self.settled = position
        self.viewers: dict[Viewer, None] = {}
        self.priming: asyncio.Task[None] | None = None
        self.waiting: list[Batch] = []

    @property
    def is_ready(self) -> bool:
        """Whether there is something to evaluate, and it can be."""
        return bool(self.waiting) and (self.plan is not None or self.evaluation is not None)


def evaluate_groups(groups: Sequence[Group], end: Position) -> Evaluated:
    """Yield the chunks that have something to say of what waits, some groups at a time; those with a plan come first.

    What waits for a group is [``settled``, end), for all with a plan the same.
    """
    plain = [group for group in groups if group.plan is not None]
    if plain:
        batch, start = Batch.concat(plain[0].waiting), plain[0].settled
        for group in plain:
            group.waiting = []
        yield from evaluate_together([group.plan for group in plain if group.plan is not None], batch, start, end)
    for group in groups:
        if group.evaluation is not None:
            waiting, group.waiting = group.waiting, []
            chunks = group.evaluation.evaluate(waiting, group.settled, end)
            yield [[chunk for chunk in chunks if chunk.has_frame or chunk.left_out]]


def timed(found: Evaluated) -> tuple[list[list[Chunk]], float]:
    """Return what the next queries find, and the CPU time that it took, in seconds."""
    began = time.thread_time()
    return next(found), time.thread_time() - began
