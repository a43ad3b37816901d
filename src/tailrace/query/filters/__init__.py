"""Filters: which records a query means. A file per word that users type; each knows three things about itself.

str(filter)      the text that parses back to it
matches(batch)   which rows it means: a numpy bool array, from columns, never a loop over rows without a reason
need()           what a block must contain to have any such row at all (see plan.py); ``Always`` when unknown
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tailrace.query.plan import Need
from tailrace.record import Batch


class Filter(Protocol):
    """A predicate on records."""

    def matches(self, batch: Batch) -> np.ndarray:
        """Return a bool array: which rows of the batch this filter means."""
        ...

    def need(self) -> Need:
        """Return a necessary condition for any row of a block to match."""
        ...
