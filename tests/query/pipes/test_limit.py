from tailrace.query import parse
from tests.query.records import messages, rows
from tests.query.strategies import NOW_NS


def test_it_ends_in_the_middle_of_a_batch():
    assert [row["message"] for row in rows("| limit 3", messages("a", "b"), messages("c", "d"))] == ["a", "b", "c"]


def test_nothing_more_is_read_than_is_wanted():
    def batches():
        yield messages("a").placed(1, 0)
        raise AssertionError("it read on")

    assert len(list(parse("| limit 1", NOW_NS).run(batches()))) == 1


def test_none_is_a_number_too():
    assert rows("| limit 0", messages("a")) == []
