"""Tailrace: see what is happening now, on every machine, and never lose a line.

The flow, in the order data takes:

    sources     lines come in: files, standard input, pushes over HTTP
    pipeline    a batch of lines gets its time, level, fields and stream
    bus         the append-only log; what is acknowledged is on disk; every record has a cursor
    store       a reader of the bus: parts on disk, sorted and indexed, for search
    tail        a reader of the bus: what matches is pushed to everyone who watches
    server, cli the programs that join the stages and let people ask

A cursor (which log, how far) is the only kind of position; a batch (columns, never a list of objects)
is the only unit of work. ARCHITECTURE.md follows one line through all of it.
"""

__version__ = "0.1.0"
