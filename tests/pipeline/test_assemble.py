"""assemble: envelope, parts and traces together; whatever is cut where, events are the same."""

import base64

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.lines import Lines
from tailrace.pipeline import Pipeline
from tailrace.record import Origin, Stream

TIME = "2026-11-20T08:00:00.5Z"
TRACE = ["java.lang.IllegalStateException: no", "\tat shop.Cart.pay(Cart.java:7)", "\tat shop.Main.main(Main.java:3)"]


def cri(text, tag="F", stream="stdout"):
    return f"{TIME} {stream} {tag} {text}".encode()


def lines_of(raw, *, ended=True, first=0):
    positions = np.cumsum([0] + [len(line) + 1 for line in raw])
    origin = Origin("file:1", first, first + int(positions[-1]), len(raw))
    return Lines(pa.array(raw, pa.binary()), positions[:-1] + first, Stream.of({}), 1, origin, ended=ended)


def processed(raw, *, ended=True):
    return Pipeline().process(lines_of(raw, ended=ended))


def messages(batch):
    return batch.array("message").to_pylist()


def test_a_trace_in_a_container_is_one_record_with_the_time_of_its_first_line():
    batch = processed([cri("start"), *map(cri, TRACE), cri("end")])
    assert messages(batch) == ["start", "\n".join(TRACE), "end"]
    assert batch.array("position").to_pylist()[1] == len(cri("start")) + 1


def test_traces_of_stdout_and_stderr_are_not_mixed():
    raw = [cri(TRACE[0]), cri("panic: boom", stream="stderr"), cri(TRACE[1]), cri("plain", stream="stderr")]
    found = messages(processed(raw))
    assert "\n".join(TRACE[:2]) in found
    assert not any("panic" in message and "at shop" in message for message in found)


def test_a_part_and_a_trace_that_are_open_wait_from_the_earlier_of_them_on():
    raw = [cri("done"), cri("half", "P"), cri(TRACE[0], stream="stderr"), cri(TRACE[1], stream="stderr")]
    batch = processed(raw, ended=False)
    assert (messages(batch), batch.origins[0].next) == (["done"], len(raw[0]) + 1)


def test_the_bytes_of_an_event_with_a_bad_line_are_those_of_all_its_lines():
    raw = [TRACE[0].encode(), b"\tat caf\xe9(X.java:1)", TRACE[2].encode()]
    (record,) = processed(raw).placed(1, 0).records()
    assert base64.b64decode(record.fields["raw_base64"]) == b"\n".join(raw)


TEXTS = ("a", TRACE[0], TRACE[1], "")
WRAPPED = [cri(text, tag, stream) for text in TEXTS for tag in "FP" for stream in ("stdout", "stderr")]
PIECES = st.sampled_from([*WRAPPED, b"no envelope"])


@settings(deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=14), st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_no_line_is_lost_or_doubled_wherever_reads_end(rest, cuts):
    raw = [*map(cri, ("x", "y", "z")), *rest]
    pipeline, place, taken, turn = Pipeline(), 0, [], 0
    begins = np.cumsum([0] + [len(line) + 1 for line in raw]).tolist()
    size = 3
    while place < len(raw):
        size = max(size, cuts[turn % len(cuts)])
        end = min(place + size, len(raw))
        batch = pipeline.process(lines_of(raw[place:end], ended=end == len(raw), first=begins[place]))
        after = begins.index(batch.origins[0].next)
        assert place <= after <= end
        taken += messages(batch)
        size = size + 1 if after == place else cuts[turn % len(cuts)]
        place, turn = after, turn + 1
    words = [line.split(b" ", 3)[3].decode() if line.startswith(b"2026") else line.decode() for line in raw]
    assert sorted("".join(taken).replace("\n", "")) == sorted("".join(words))


CRI = "2026-11-20T08:00:00.00000000{}Z stdout {} {}"


def over(old, new, *, ended):
    """Process the end of a file and what follows in the next one."""
    older = lines_of([line.encode() for line in old], first=5000)
    return Pipeline().process(lines_of([line.encode() for line in new], ended=ended).behind(older)), older.origin


def test_the_parts_of_a_line_are_joined_over_two_files_and_both_are_taken():
    old = [CRI.format(1, "P", "left "), CRI.format(2, "P", "middle ")]
    new = [CRI.format(3, "F", "right"), CRI.format(4, "F", "two")]
    batch, before = over(old, new, ended=False)
    assert messages(batch) == ["left middle right", "two"]
    taken, own = batch.origins
    assert (taken.source, taken.next, taken.rows) == (before.source, before.next, 0)
    assert (own.first, own.next, own.rows) == (0, sum(len(line) + 1 for line in new), 2)


def test_what_is_open_in_the_second_file_only_waits_there():
    new = [CRI.format(3, "F", "right"), CRI.format(4, "P", "waits")]
    batch, _ = over([CRI.format(1, "P", "left ")], new, ended=False)
    assert messages(batch) == ["left right"]
    assert batch.origins[1].next == len(new[0]) + 1


def test_what_is_open_from_the_first_file_on_does_not_wait_in_the_second():
    batch, _ = over([CRI.format(1, "P", "left ")], [CRI.format(2, "P", "middle")], ended=False)
    assert messages(batch) == ["left middle"]
