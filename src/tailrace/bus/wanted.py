"""Which topics are read: names, and patterns of names, which begin with ``^`` as those of an indexer do.

A pattern is RE2, and stands for all topics it is found in, whenever they are made. It never means what Kafka keeps for
itself (``__consumer_offsets``) nor what a cluster has refused (``-dead``); who wants to read such a topic names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import re2

from tailrace.errors import ConfigError

DEAD = "-dead"
"""How the topic is called that has what a cluster refused of another: the same with this behind."""
LEFT_OUT = (rf"^.*{DEAD}$", "^__")
"""What no pattern means, as patterns."""


class Wanted:
    """The topics that ``kafka.topics`` means."""

    def __init__(self, topics: Sequence[str]) -> None:
        """Read names and patterns. Raises ConfigError."""
        self.names = tuple(topic for topic in topics if not topic.startswith("^"))
        self.patterns = tuple(_compiled(topic) for topic in topics if topic.startswith("^"))
        self._text = " ".join(topics)

    def __str__(self) -> str:
        return self._text

    def among(self, there: Iterable[str]) -> list[str]:
        """Return the topics to read, when these are there: all names, there or not, and what patterns mean of them."""
        found = [topic for topic in there if any(one.search(topic) for one in self.patterns)]
        return sorted({*self.names, *(topic for topic in found if not _left_out(topic))})


def _left_out(topic: str) -> bool:
    return topic.endswith(DEAD) or topic.startswith("__")


def _compiled(pattern: str) -> Any:
    try:
        return re2.compile(pattern)
    except re2.error as error:
        raise ConfigError(
            f"kafka.topics: {pattern!r} is no pattern: {error}",
            cure="A topic that begins with ^ is an expression of RE2.",
        ) from error
