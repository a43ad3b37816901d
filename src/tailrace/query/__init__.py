"""The question: text becomes a Query; a Query says which records match, what may be skipped, what is made of them."""

from tailrace.query.parse import parse
from tailrace.query.query import Query
from tailrace.query.table import Table

__all__ = ["Query", "Table", "parse"]
