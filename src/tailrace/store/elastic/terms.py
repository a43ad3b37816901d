"""What of a record is searched, as text that the cluster cuts at white space and nothing else.

Tokens are those of ``query/tokens.py``, made here: neither server has an analyser that cuts as filters do (Chinese,
Japanese and Korean by pairs), and some have none but the simplest. So what the index says of a token is exact.

words   the tokens of the message, in their order
terms   of each value that a name reaches (labels, the trace id, parsed fields, as ``Batch.column`` reads them):

        ``500=status``      each token of a plain value, with the name behind it: all fields of a token lie together
        ``500~order``       each token of the JSON text of a list or an object
        ``=status``         there is a value
        ``#status:…``       it is a number: 11 characters that sort as numbers do (see ``number_keys``)
        ``500=``            each token of a value that no name reaches (in a list, or hidden by a label)

A name in a term is escaped (no white space, none of the signs above) and hashed when it is long, tokens are cut at
ELASTIC_TOKEN_CHARS_MAX, and ``+`` says that one was: so no term is longer than what Lucene takes as one.

Flat objects without escapes, which is what most lines have, are taken apart for the whole batch at once. Their text is
what orjson writes, so a quote in it begins or ends a name or a value: ``","`` stands between two members, and so does
``,"`` behind a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.limits import ELASTIC_TOKEN_CHARS_MAX
from tailrace.query.filters.field import ATTRIBUTES
from tailrace.query.filters.value import NUMBER, bools, numbers
from tailrace.query.tokens import placed_tokens, spaced_tokens, text_bytes, tokens
from tailrace.record import Batch, Stream
from tailrace.store.elastic import shapes
from tailrace.store.elastic.term import CUT, number_keys, number_term, term_name, term_token

_NUMBER = re.compile(NUMBER)


def words(messages: pa.StringArray) -> pa.StringArray:
    """Return the tokens of each message in their order, with spaces between them."""
    made = spaced_tokens(messages)
    if _may_be_long(text_bytes(made)):
        made = pc.replace_substring_regex(made, rf"([^ ]{{{ELASTIC_TOKEN_CHARS_MAX}}})[^ ]+", rf"\1 {CUT}")
    return made


def _may_be_long(text: np.ndarray) -> bool:
    """Tell whether a word is longer than ELASTIC_TOKEN_CHARS_MAX bytes, or two of neighbouring texts together."""
    spaces = text == ord(" ")
    # It would leave a whole half of that without a space, wherever it begins: to look for one costs a quarter.
    half = ELASTIC_TOKEN_CHARS_MAX // 2
    if spaces[: len(spaces) // half * half].reshape(-1, half).any(axis=1).all():
        return False
    gaps = np.diff(np.flatnonzero(spaces), prepend=-1, append=len(spaces))
    return gaps.max(initial=0) > ELASTIC_TOKEN_CHARS_MAX


def terms(batch: Batch) -> pa.StringArray:
    """Return the terms of each row, with spaces between them; a row may have none."""
    of_stream = pa.array([_of_stream(stream.json) for stream in batch.streams], pa.string())
    pieces = [of_stream.take(batch.array("stream").indices)]
    trace_id = batch.array("trace_id")
    if trace_id.null_count < len(batch):
        pieces.append(_of_values(trace_id, pa.array(["trace_id"]).take(pa.array(np.zeros(len(batch), np.int8)))))
    fields = batch.array("fields")
    if fields.null_count < len(batch):
        pieces.append(_of_fields(batch, fields))
    return pc.binary_join_element_wise(*pieces, " ")


@lru_cache(maxsize=65_536)
def _of_stream(json: str) -> str:
    made: list[str] = []
    for name, value in Stream.parse(json).labels.items():
        made += _of_value("" if name in ATTRIBUTES else name, value, composite=False)
    return " ".join(made)


def _of_value(name: str, text: str, *, composite: bool) -> Iterator[str]:
    """Yield the terms of one value; without a name only those of its tokens."""
    written = term_name(name)
    sign = "~" if composite else "="
    for token in tokens(text):
        yield term_token(token) + sign + written
        if len(token) > ELASTIC_TOKEN_CHARS_MAX:
            yield CUT
    if name:
        yield "=" + written
        if not composite and _NUMBER.match(text):
            yield number_term(name, float(text))


def _of_fields(batch: Batch, texts: pa.StringArray) -> pa.StringArray:
    """Return the terms of each row's ``fields``."""
    held = bools(pc.fill_null(pc.greater(pc.binary_length(texts), 2), False))
    nested = held & _nested(texts)
    left = np.zeros(len(batch), bool)
    columns: list[pa.StringArray] = []
    for rows, take in ((np.flatnonzero(held & ~nested), _of_flat), (np.flatnonzero(nested), _of_shaped)):
        if len(rows):
            made, whole = take(batch, texts.take(pa.array(rows)), rows)
            left[rows[~whole]] = True
            place = np.full(len(batch), -1)
            place[rows[whole]] = np.flatnonzero(whole)
            columns.append(pc.fill_null(made.take(pa.array(place, mask=place < 0)), ""))
    found: list[str] = [""] * len(batch) if left.any() else []
    for row in np.flatnonzero(left).tolist():
        # A Python loop over lines: few are neither flat nor like others.
        stream = Stream.parse(batch.array("stream")[row].as_py())
        found[row] = " ".join(_of_object(orjson.loads(texts[row].as_py()), stream.labels))
    if found:
        columns.append(pa.array(found, pa.string()))
    return pc.binary_join_element_wise(*columns, " ") if columns else pa.array([""] * len(batch))


def _of_shaped(batch: Batch, texts: pa.StringArray, rows: np.ndarray) -> tuple[pa.StringArray, np.ndarray]:
    """Return the terms of objects with anything in them, and which of them could be taken apart."""
    taken = shapes.take_apart(texts)
    sets = [frozenset(stream.labels) for stream in batch.streams]
    label_sets = list(dict.fromkeys(sets))
    of_stream = np.array([label_sets.index(one) for one in sets])
    pairs = taken.shapes.indices.to_numpy() * len(label_sets) + of_stream[batch.stream_codes[rows]]
    used, codes = np.unique(pairs, return_inverse=True)
    known = taken.shapes.dictionary.to_pylist()
    found = [shapes.shape_of(known[one // len(label_sets)], label_sets[one % len(label_sets)]) for one in used.tolist()]
    whole = np.array([shape.good for shape in found], bool)[codes]
    if not whole.all():
        kept = np.repeat(whole, taken.counts)
        values, counts, some = taken.values.filter(pa.array(kept)), taken.counts[whole], codes[whole]
    else:
        values, counts, some = taken.values, taken.counts, codes
    places, at = shapes.places_of(found, some)
    distinct = values.dictionary_encode()
    both = pa.array(at.astype(np.int64) * len(distinct.dictionary) + distinct.indices.to_numpy()).dictionary_encode()
    place, value = np.divmod(both.dictionary.to_numpy(), len(distinct.dictionary) or 1)
    of_value, escaped = _of_places(distinct.dictionary.take(pa.array(value)), places, place)
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    codes_of_values = both.indices.to_numpy()
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), of_value.take(pa.array(codes_of_values))), " ")
    fixed = pa.array([" ".join(shape.terms) for shape in found], pa.string()).take(pa.array(some))
    made = pc.binary_join_element_wise(joined, fixed, " ")
    if escaped.any():
        bad = np.unique(np.repeat(np.flatnonzero(whole), counts)[escaped[codes_of_values]])
        keep = ~np.isin(np.flatnonzero(whole), bad)
        made = made.filter(pa.array(keep))
        whole[bad] = False
    place_of = np.full(len(rows), -1)
    place_of[whole] = np.arange(len(made))
    return made.take(pa.array(place_of, mask=place_of < 0)), whole


def _of_places(values: pa.StringArray, places: list[shapes.Place], at: np.ndarray) -> tuple[pa.StringArray, np.ndarray]:
    """Return the terms of values as JSON writes them, in their places, and which of them have an escape in JSON."""
    names = pa.array([place.name for place in places], pa.string()).take(pa.array(at))
    plain = _of_members(values, names)
    around = pa.array([place.around for place in places], pa.list_(pa.string())).take(pa.array(at))
    rows = pc.list_parent_indices(around).to_numpy()
    if not len(rows):
        return plain, np.zeros(len(values), bool)
    cut, token_at = placed_tokens(values.take(pa.array(rows)))
    used = np.flatnonzero(bools(pc.not_equal(cut, "")))
    inside = _cut_terms(cut.take(pa.array(used)), around.flatten(), token_at[used], "~")
    inside = [(texts, rows[which]) for texts, which in inside]
    escaped = np.zeros(len(values), bool)
    escaped[rows] = bools(pc.match_substring(values.take(pa.array(rows)), shapes.ESCAPED))
    return pc.binary_join_element_wise(plain, _joined(inside, len(values)), " "), escaped


def _nested(texts: pa.StringArray) -> np.ndarray:
    """Return which objects have an escape, or an object or list inside."""
    data = text_bytes(texts)
    braces = np.count_nonzero(data == ord("{"))
    if braces == len(texts) - texts.null_count and not ((data == ord("\\")) | (data == ord("["))).any():
        return np.zeros(len(texts), bool)
    return bools(pc.match_substring_regex(texts, r"^.[^\\\[{]*[\\\[{]"))


def _of_flat(batch: Batch, texts: pa.StringArray, rows: np.ndarray) -> tuple[pa.StringArray, np.ndarray]:
    """Return the terms of flat objects without escapes, of these rows of a batch, and which could be taken apart.

    Each distinct member is understood once: most values of logs come again.
    """
    members = pc.split_pattern(pc.binary_slice(texts.cast(pa.binary()), 2, -1).cast(pa.string()), ',"')
    distinct = members.values.dictionary_encode()
    codes = distinct.indices.to_numpy()
    at = pc.list_parent_indices(members).to_numpy()
    halves = pc.split_pattern(distinct.dictionary, '":', max_splits=1)
    good = pc.list_value_length(halves).to_numpy() == 2
    whole = np.ones(len(rows), bool)
    if not good.all():  # a text that ends with a comma was taken for the end of a member
        whole[at[~good[codes]]] = False
        halves = pc.if_else(pa.array(good), halves, pa.scalar(["", "null"], halves.type))
    pairs = halves.flatten()
    keys = pairs.take(pa.array(np.arange(0, len(pairs), 2))).dictionary_encode()
    values = pairs.take(pa.array(np.arange(1, len(pairs), 2)))
    known = keys.dictionary.to_pylist()
    names = pa.array([term_name("" if key in ATTRIBUTES else key) for key in known], pa.string()).take(keys.indices)
    of_member = _of_members(values, names)
    hidden = np.array([[key in stream.labels for key in known] for stream in batch.streams], bool)
    if hidden.any():  # a label of that name is what the name reaches
        unnamed = _of_members(values, pa.array([""]).take(pa.array(np.zeros(len(names), np.int8))))
        of_member = pa.concat_arrays([of_member, unnamed])
        codes = codes + len(unnamed) * hidden[batch.stream_codes[rows[at]], keys.indices.to_numpy()[codes]]
    ends = np.concatenate([[0], np.cumsum(pc.list_value_length(members).to_numpy())]).astype(np.int32)
    joined = pa.ListArray.from_arrays(pa.array(ends), of_member.take(pa.array(codes)))
    return pc.binary_join(joined, " "), whole


def _of_members(values: pa.StringArray, names: pa.StringArray) -> pa.StringArray:
    """Return the terms of plain values as JSON writes them (no escapes), under escaped names."""
    is_text = pc.starts_with(values, '"')
    texts = pc.if_else(is_text, pc.utf8_slice_codeunits(values, 1, -1), values)
    return _of_values(pc.if_else(pc.or_(is_text, pc.not_equal(values, "null")), texts, None), names)


def _of_values(texts: pa.StringArray, names: pa.StringArray) -> pa.StringArray:
    """Return the terms of each plain value, with spaces between them, under escaped names; of null none.

    Without a name a value has only its tokens.
    """
    rows = np.flatnonzero(bools(texts.is_valid()))
    total = len(texts)
    texts, names = texts.take(pa.array(rows)), names.take(pa.array(rows))
    cut, at = placed_tokens(texts)
    used = bools(pc.not_equal(cut, ""))
    if not used.all():
        cut, at = cut.filter(pa.array(used)), at[used]
    found = [(made, rows[which]) for made, which in _cut_terms(cut, names, at, "=")]
    named = np.flatnonzero(bools(pc.not_equal(names, "")))
    texts, names, rows = texts.take(pa.array(named)), names.take(pa.array(named)), rows[named]
    found.append((pc.binary_join_element_wise("", names, "="), rows))
    values = numbers(texts)
    is_number = np.flatnonzero(~np.isnan(values))
    if len(is_number):
        name = pc.binary_join_element_wise("#", names.take(pa.array(is_number)), "")
        found.append((pc.binary_join_element_wise(name, number_keys(values[is_number]), ":"), rows[is_number]))
    return _joined(found, total)


def _cut_terms(
    cut: pa.StringArray, names: pa.StringArray, at: np.ndarray, sign: str
) -> list[tuple[pa.StringArray, np.ndarray]]:
    """Return the terms of tokens, each with the index of its name; ``at`` is the index of the name of a token."""
    found: list[tuple[pa.StringArray, np.ndarray]] = []
    if len(cut) and pc.max(pc.binary_length(cut)).as_py() > ELASTIC_TOKEN_CHARS_MAX:
        long = np.flatnonzero(pc.utf8_length(cut).to_numpy() > ELASTIC_TOKEN_CHARS_MAX)
        found.append((pa.array([CUT] * len(long), pa.string()), at[long]))
        cut = pc.utf8_slice_codeunits(cut, 0, ELASTIC_TOKEN_CHARS_MAX)
    return [*found, (pc.binary_join_element_wise(cut, names.take(pa.array(at)), sign), at)]


def _of_object(parsed: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[str]:
    """Yield the terms of a parsed ``fields`` object."""
    for key, value in parsed.items():
        name = "" if key in labels or key in ATTRIBUTES else key
        yield from _of_member(name, "" if "." in key else key, value, parsed, labels)


def _of_member(name: str, path: str, value: Any, parsed: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[str]:
    """Yield the terms of a value and of what is in it; ``name`` reaches the value (empty: none does).

    ``path`` is what would reach it if nothing hid it: a name with a dot means a key with that dot first.
    """
    if isinstance(value, dict | list):
        if name:
            yield from _of_value(name, orjson.dumps(value).decode(), composite=True)
    elif value is not None:
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        yield from _of_value(name, text, composite=False)
    if isinstance(value, list):
        for inner in value:
            yield from _of_member("", "", inner, parsed, labels)
    elif isinstance(value, dict):
        for key, inner in value.items():
            below = f"{path}.{key}"
            reached = path and "." not in key and parsed.get(below) is None
            free = below not in labels and below not in ATTRIBUTES
            yield from _of_member(below if reached and free else "", below if reached else "", inner, parsed, labels)


def _joined(found: list[tuple[pa.StringArray, np.ndarray]], rows_total: int) -> pa.StringArray:
    """Return for each row its terms, from all arrays, with spaces between them."""
    every = pa.concat_arrays([texts for texts, _ in found])
    rows = np.concatenate([rows for _, rows in found])
    order = np.argsort(rows.astype(np.int32), kind="stable")
    ends = np.searchsorted(rows[order], np.arange(rows_total + 1)).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), every.take(pa.array(order))), " ")
