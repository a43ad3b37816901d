"""Batches for tests: small, readable, with a message per row."""

from collections.abc import Sequence

from tailrace.record import Batch, Origin, Stream


def batch_of(
    messages: Sequence[str],
    *,
    source: str = "",
    first: int = 0,
    service: str = "shop",
    time: int = 0,
    observed: int = 7,
) -> Batch:
    """Build a batch; with a ``source`` its rows take the places [first, first + rows) of it."""
    rows = len(messages)
    origins = [Origin(source, first, first + rows, rows)] if source else []
    return Batch.of(
        time=list(range(time, time + rows)),
        observed=[observed] * rows,
        level=[3] * rows,
        stream=Stream.of({"service": service}),
        message=list(messages),
        position=list(range(first, first + rows)),
        origins=origins,
    )


def messages_of(batches: Sequence[Batch]) -> list[str]:
    """Return the messages of all rows, in order."""
    return [message for batch in batches for message in batch.array("message").to_pylist()]
