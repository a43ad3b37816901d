import asyncio

import pytest

from tailrace.errors import BadInput, Busy
from tailrace.limits import SEARCH_QUEUE_CHUNKS, SEARCHES_AT_ONCE_MAX, SEARCHES_WAITING_MAX
from tailrace.metrics import Metrics
from tailrace.store import Progress
from tailrace.store.pool import Pool


@pytest.fixture
def pool():
    made = Pool(Metrics())
    yield made
    made.close()


async def until(condition):
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


def forever(progress):
    while True:
        progress.check()
        yield b"chunk"


def test_chunks_come_in_their_order(pool):
    async def run():
        return [chunk async for chunk in pool.run(lambda _: iter([b"a", b"b", b"c"]), Progress(60))]

    assert asyncio.run(run()) == [b"a", b"b", b"c"]


def test_an_error_of_the_work_is_the_callers(pool):
    def fails(_):
        raise BadInput("no")
        yield b""

    async def run():
        return [chunk async for chunk in pool.run(fails, Progress(60))]

    with pytest.raises(BadInput):
        asyncio.run(run())


def test_a_reader_that_goes_ends_the_work(pool):
    async def run():
        chunks = pool.run(forever, Progress(60))
        assert await anext(chunks) == b"chunk"
        await chunks.aclose()
        await until(lambda: not len(pool))

    asyncio.run(run())


def test_a_thread_does_not_run_ahead_of_its_reader(pool):
    made = []

    def work(progress):
        for number in range(1000):
            made.append(number)
            progress.check()
            yield b"x"

    async def run():
        progress = Progress(60)
        chunks = pool.run(work, progress)
        await anext(chunks)
        await until(lambda: len(made) >= SEARCH_QUEUE_CHUNKS + 2)
        ahead = len(made)
        await chunks.aclose()
        return ahead

    assert asyncio.run(run()) <= SEARCH_QUEUE_CHUNKS + 2


def test_too_many_are_told_to_come_back(pool):
    async def run():
        open_chunks = [pool.run(forever, Progress(60)) for _ in range(SEARCHES_AT_ONCE_MAX + SEARCHES_WAITING_MAX)]
        asking = [asyncio.ensure_future(anext(chunks)) for chunks in open_chunks]
        await until(lambda: len(pool) == len(open_chunks))
        with pytest.raises(Busy):
            await anext(pool.run(forever, Progress(60)))
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        for chunks in open_chunks:
            await chunks.aclose()

    asyncio.run(run())
