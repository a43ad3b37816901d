import threading

from tailrace_sdk.count import Count


def test_counts_are_exact_among_threads():
    count = Count()
    threads = [threading.Thread(target=lambda: [count.add() for _ in range(10_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert count.value() <= 40_000
    for thread in threads:
        thread.join()
    assert count.value() == count.value() == 40_000


def test_looking_does_not_count():
    count = Count()
    count.add()
    assert [count.value(), count.value()] == [1, 1]
