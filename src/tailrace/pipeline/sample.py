"""sample: of many records of a kind, one of n is kept, and says so in ``fields.sampled``.

Which ones follows from the stream and the place of a record in it alone: what is read again after a crash is chosen
again. A kept record stands for ``sampled`` records, so sums of that are right; one that was sampled before carries
the product.
"""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.errors import ConfigError
from tailrace.lines import Sample
from tailrace.pipeline.drop import condition, meant, only
from tailrace.record import SCHEMA, Batch

_KEY = '"sampled":'


def check(sample: Sample) -> None:
    """Raise ConfigError when it means nothing."""
    condition(sample.where, "sample.where")
    if sample.one_in < 2:
        raise ConfigError(f"sample.one_in is {sample.one_in}", cure="one_in = 10 keeps one of ten.")


def sampled(batch: Batch, sample: Sample, counts: Counter[str]) -> Batch:
    """Return the batch (of one origin) with one of n of the records that are meant.

    ``counts`` has the number of those that were not kept, by ``where``.
    """
    mask = meant(batch, condition(sample.where, "sample.where"))
    if not mask.any():
        return batch
    chosen = _places(batch) % np.uint64(sample.one_in) == 0
    kept = chosen | ~mask
    counts[sample.where] += int((~kept).sum())
    return only(_marked(batch, mask & chosen, sample.one_in), kept)


def _places(batch: Batch) -> np.ndarray:
    """Return a number of 64 bits for each row, mixed from its stream and position (SplitMix64)."""
    seeds = [hashlib.blake2b(stream.json.encode(), digest_size=8).digest() for stream in batch.streams]
    table = np.frombuffer(b"".join(seeds), np.uint64)
    mixed = pc.fill_null(batch.array("position"), 0).to_numpy(zero_copy_only=False).astype(np.uint64)
    mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + table[batch.stream_codes]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _marked(batch: Batch, rows: np.ndarray, one_in: int) -> Batch:
    """Write into the fields of these rows how many records each stands for."""
    texts = batch.array("fields").take(pa.array(np.flatnonzero(rows))).to_pylist()
    # A Python loop over lines, but only those that are kept: 0.2 us each.
    marked = [_with(text, one_in) for text in texts]
    fields = pc.replace_with_mask(batch.array("fields"), pa.array(rows), pa.array(marked, pa.string()))
    place = SCHEMA.get_field_index("fields")
    return Batch(batch.columns.set_column(place, SCHEMA.field(place), fields), origins=batch.origins)


def _with(text: str | None, one_in: int) -> str:
    if text is None or text == "{}":
        return f"{{{_KEY}{one_in}}}"
    if _KEY not in text:
        return f"{text[:-1]},{_KEY}{one_in}}}"
    fields = orjson.loads(text)
    before = fields.get("sampled")
    fields["sampled"] = one_in * (before if type(before) is int and before > 0 else 1)
    return orjson.dumps(fields).decode()
