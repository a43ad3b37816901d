import json

import pytest

from tailrace.indexing import answers
from tailrace.limits import DEAD_WHY_BYTES_MAX


def body(*items):
    """An answer as both servers give it, filtered: (status, type of the error, its reason, the reason behind it)."""
    listed = []
    for status, *error in items:
        item = {"status": status}
        if error:
            kind, reason, behind = (*error, None, None)[:3]
            item["error"] = {"type": kind, "reason": reason}
            if behind:
                item["error"]["caused_by"] = {"type": "x", "reason": behind}
        listed.append({"create": item})
    return json.dumps({"errors": any(status >= 300 for status, *_ in items), "items": listed}).encode()


CONFLICT = (409, "version_conflict_engine_exception", "[1]: version conflict, document already exists")
REFUSED = (400, "mapper_parsing_exception", "failed to parse field [n] of type [long]", 'For input string: "x"')
BUSY = (429, "circuit_breaking_exception", "[parent] Data too large")


def test_an_answer_without_errors_settles_all():
    assert answers.read(b'{"errors":false,"items":[{"create":{"status":201}}]}', 1) == answers.Answer(written=1)


def test_a_document_that_is_there_is_settled():
    answer = answers.read(body((201,), CONFLICT), 2)
    assert (answer.written, answer.there, answer.again, answer.poison) == (1, 1, [], [])


def test_documents_of_which_the_cluster_is_too_busy_come_again_alone():
    answer = answers.read(body((201,), BUSY, (201,), BUSY), 4)
    assert (answer.again, answer.rejected) == ([1, 3], 2)
    assert answer.why == "429: circuit_breaking_exception: [parent] Data too large"


def test_what_the_mapping_refuses_is_poison_and_says_why():
    answer = answers.read(body((201,), REFUSED), 2)
    said = 'mapper_parsing_exception: failed to parse field [n] of type [long] (For input string: "x")'
    assert answer.poison == [(1, said)]


@pytest.mark.parametrize(
    "item",
    [
        (403, "cluster_block_exception", "index [a] blocked by: [FORBIDDEN/5/index read-only (api)];"),
        (429, "cluster_block_exception", "index [a] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded]"),
        (400, "index_closed_exception", "closed"),
        (404, "index_not_found_exception", "no such index [a] and [action.auto_create_index] is [false]"),
        (400, "validation_exception", "this action would add [2] shards, but this cluster has [1000]/[1000]"),
        (403, "security_exception", "action [indices:data/write/bulk] is unauthorized"),
        (400, "illegal_argument_exception", "pipeline with id [x] does not exist"),
        (500, "null_pointer_exception", None),
        (503, "unavailable_shards_exception", "primary shard is not active"),
    ],
    ids=lambda item: item[1],
)
def test_what_is_no_fault_of_the_document_waits(item):
    answer = answers.read(body(item), 1)
    assert (answer.again, answer.poison) == ([0], [])
    assert item[1] in answer.why


def test_a_reason_has_a_bounded_length():
    answer = answers.read(body((400, "document_parsing_exception", "x" * 100_000)), 1)
    assert len(answer.poison[0][1]) == DEAD_WHY_BYTES_MAX


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"{}", b'{"errors":true,"items":[]}', b'{"errors":true,"items":[{}]}', b"\xff", b"[]"]
)
def test_an_answer_that_is_none_settles_nothing(answer):
    with pytest.raises(ValueError, match=r"what answers is no cluster|it answered for"):
        answers.read(answer, 1)


def test_progress_is_anything_that_is_settled():
    assert not answers.read(body(BUSY), 1).settled
    assert all(answers.read(body(BUSY, item), 2).settled for item in ((201,), CONFLICT, REFUSED))
