from hypothesis import given
from hypothesis import strategies as st

from tailrace.indexing.progress import Progress


class Block:
    def __init__(self):
        self.settled = False


def test_nothing_is_committed_before_anything_is_settled():
    progress = Progress()
    progress.add(10, Block())
    assert not progress.settle()
    assert progress.position is None


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.randoms())
def test_the_offset_never_passes_a_message_that_is_not_settled(sizes, random):
    progress, blocks, ends = Progress(), [], []
    for size in sizes:
        ends.append((ends[-1] if ends else 100) + size)
        blocks.append(Block())
        progress.add(ends[-1], blocks[-1])
    order = list(range(len(blocks)))
    random.shuffle(order)
    for which in order:
        blocks[which].settled = True
        progress.settle()
        done = next((at for at, block in enumerate(blocks) if not block.settled), len(blocks))
        assert progress.position == (ends[done - 1] if done else None)
        assert progress.waiting == (done < len(blocks))


def test_there_is_something_to_commit_only_when_the_offset_has_moved():
    progress, block = Progress(), Block()
    progress.add(10, block)
    block.settled = True
    assert progress.settle()
    progress.committed = 10
    assert not progress.settle()
