"""The queue and its thread: nothing is lost that was not counted, and the program never notices."""

import errno
import signal
import threading
import time

import pytest

from tailrace_sdk import AsyncLogWriter


class Slow:
    """A sink that can be held, and made to fail."""

    kind = "slow"

    def __init__(self):
        self.go = threading.Event()
        self.go.set()
        self.fails = 0
        self.data = b""
        self.count = 0
        self.largest = 0
        self.ticks = 0

    def write(self, data, count):
        self.largest = max(self.largest, len(data))
        self.go.wait(20)
        if self.fails:
            self.fails -= 1
            raise OSError(errno.EIO, "the disk is not well")
        self.data += data
        self.count += count

    def tick(self):
        self.ticks += 1

    def flush(self, timeout):
        return timeout >= 0

    def close(self, timeout):
        pass

    def after_fork(self):
        pass

    def get_stats(self):
        return {}


@pytest.fixture
def sink():
    one = Slow()
    yield one
    one.fails = 0
    one.go.set()


def adds_up(stats):
    return stats["enqueued"] == stats["written"] + stats["errors"] + stats["queue_size"]


def test_a_record_is_in_the_file_without_anybody_asking(tmp_path, until, logged):
    with AsyncLogWriter(str(tmp_path)) as writer:
        writer.log({"message": "hello"})
        (record,) = until(lambda: logged(tmp_path))
    assert record["message"] == "hello"


def test_a_record_after_a_long_silence_is_written_at_once(tmp_path, until, logged):
    with AsyncLogWriter(str(tmp_path), flush_interval=30) as writer:
        writer.log({"message": "first"})
        until(lambda: writer._asleep)
        writer.log({"message": "second"})
        until(lambda: len(logged(tmp_path)) == 2, 10)


def test_flush_returns_when_everything_before_is_written(sink):
    with AsyncLogWriter(sinks=[sink]) as writer:
        for number in range(2500):
            writer.log({"n": number})
        assert writer.flush()
        assert sink.count == 2500


def test_flush_gives_up_in_time(sink):
    sink.go.clear()
    with AsyncLogWriter(sinks=[sink]) as writer:
        writer.log({"n": 1})
        assert not writer.flush(0.05)
        sink.go.set()


def test_shutdown_writes_what_waits(sink):
    writer = AsyncLogWriter(sinks=[sink])
    for number in range(2500):
        writer.log({"n": number})
    assert writer.shutdown()
    assert sink.count == 2500
    assert writer.get_stats()["written"] == 2500


def test_after_shutdown_records_are_refused_and_counted(sink):
    writer = AsyncLogWriter(sinks=[sink])
    writer.shutdown()
    assert not writer.log({"n": 1})
    assert writer.get_stats()["after_shutdown"] == 1


def test_the_statistics_have_the_names_people_know(sink):
    with AsyncLogWriter(sinks=[sink]) as writer:
        names = {"enqueued", "written", "errors", "retries", "batches", "queue_full_events", "queue_size"}
        assert names <= set(writer.get_stats())


def test_a_full_queue_drops_the_newest_and_counts_them(sink, until):
    sink.go.clear()
    with AsyncLogWriter(sinks=[sink], max_queue_size=100, batch_size=10) as writer:
        writer.log({"n": 0})
        until(lambda: not writer.get_stats()["queue_size"])  # the sink holds it
        taken = [writer.log({"n": number}) for number in range(1, 151)]
        assert taken == [True] * 100 + [False] * 50
        assert writer.get_stats()["queue_full_events"] == 50
        sink.go.set()
        assert writer.flush()
        stats = writer.get_stats()
    assert stats["written"] == 101
    assert adds_up(stats)


def test_large_records_are_written_in_pieces(sink):
    with AsyncLogWriter(sinks=[sink]) as writer:
        writer.log_many({"n": number, "pad": "x" * 100_000} for number in range(300))
        assert writer.flush(20)
        stats = writer.get_stats()
    assert (sink.count, stats["written"]) == (300, 300)
    assert sink.largest < (100 + 11) * 100_100  # a slice, and what came before it


def test_sinks_look_after_themselves_also_while_records_keep_coming(sink):
    sink.go.clear()
    with AsyncLogWriter(sinks=[sink], batch_size=10) as writer:
        writer.log_many({"n": number} for number in range(1000))
        sink.go.set()
        assert writer.flush()
        assert sink.ticks >= 100


def test_what_was_lost_is_said_by_a_record(sink, until):
    sink.go.clear()
    with AsyncLogWriter(sinks=[sink], max_queue_size=10, batch_size=10) as writer:
        writer.log({"n": 0})
        until(lambda: not writer.get_stats()["queue_size"])
        for number in range(15):
            writer.log({"n": number})
        sink.go.set()
        assert writer.flush()
    assert b'"lost":5' in sink.data
    assert b"the queue was full" in sink.data


def test_with_block_s_a_full_queue_makes_the_program_wait(sink, until):
    sink.go.clear()
    with AsyncLogWriter(sinks=[sink], max_queue_size=10, batch_size=10, block_s=20) as writer:
        threading.Timer(0.05, sink.go.set).start()
        assert writer.log_many({"n": number} for number in range(1000)) == 1000
        assert writer.flush()
        assert (sink.count, writer.get_stats()["queue_full_events"]) == (1000, 0)


def test_a_batch_that_failed_is_tried_again(sink):
    sink.fails = 2
    with AsyncLogWriter(sinks=[sink], retry_interval=0.01) as writer:
        writer.log({"n": 1})
        assert writer.flush()
        stats = writer.get_stats()
    assert (sink.count, stats["retries"], stats["errors"]) == (1, 2, 0)


def test_a_batch_that_fails_too_often_is_lost_and_counted(sink, capsys):
    sink.fails = 4
    with AsyncLogWriter(sinks=[sink], retry_interval=0.001, max_retries=3) as writer:
        writer.log_many([{"n": 1}, {"n": 2}])
        writer.flush()
        writer.log({"n": 3})
        writer.flush()
        stats = writer.get_stats()
    assert (stats["retries"], stats["errors"], stats["written"]) == (3, 2, 1)
    assert adds_up(stats)
    assert "the disk is not well" in stats["last_error"]
    assert "lost" in capsys.readouterr().err


def test_a_sink_that_keeps_failing_gets_one_attempt_for_each_batch(sink):
    sink.fails = 1000
    with AsyncLogWriter(sinks=[sink], retry_interval=0.001, max_retries=2) as writer:
        for _ in range(5):
            writer.log({"n": 1})
            writer.flush()
        stats = writer.get_stats()
    assert (stats["retries"], stats["errors"]) == (2, 5)


def test_a_sink_that_fails_does_not_keep_records_from_the_others(sink):
    good = Slow()
    sink.fails = 1000
    with AsyncLogWriter(sinks=[sink, good], retry_interval=0.001) as writer:
        writer.log_many({"n": number} for number in range(100))
        writer.flush()
        stats = writer.get_stats()
    assert good.count == 100
    assert [one["written"] for one in stats["sinks"]] == [0, 100]
    assert [one["dropped"] for one in stats["sinks"]] == [100, 0]


def test_whatever_is_logged_nothing_is_raised(sink):
    class Hostile:
        def __repr__(self):
            raise RuntimeError("no")

    with AsyncLogWriter(sinks=[sink]) as writer:
        for odd in (None, 5, "text", [1], Hostile(), {"x": Hostile()}, {Hostile(): 1}, {1: 2}, {"n": float("nan")}):
            assert writer.log(odd)
        assert writer.flush()
        stats = writer.get_stats()
    assert adds_up(stats)
    assert stats["written"] == 9


def test_a_record_is_what_it_was_when_it_was_logged(sink):
    sink.go.clear()
    with AsyncLogWriter(sinks=[sink]) as writer:
        record = {"n": 0}
        for number in range(3):
            record["n"] = number
            writer.log(record)
        sink.go.set()
        writer.flush()
    assert [f'"n":{n}}}' in sink.data.decode() for n in range(3)] == [True] * 3


def test_threads_may_log_together(sink):
    with AsyncLogWriter(sinks=[sink], max_queue_size=50_000) as writer:
        threads = [
            threading.Thread(target=lambda: writer.log_many({"n": number} for number in range(2_000))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert writer.flush()
        assert sink.count == 16_000


def test_a_signal_handler_may_log_in_the_middle_of_anything(sink):
    with AsyncLogWriter(sinks=[sink], max_queue_size=200_000) as writer:
        from_handler = []
        before = signal.signal(signal.SIGALRM, lambda *_: from_handler.append(writer.log({"n": "signal"})))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            logged, until = 0, time.monotonic() + 20
            while (logged < 20_000 or len(from_handler) < 5) and time.monotonic() < until:
                logged += writer.log({"n": logged})
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert writer.flush()
        assert sink.count == logged + sum(from_handler)
        assert len(from_handler) >= 5


@pytest.mark.parametrize(
    "wrong",
    [{}, {"log_dir": "x", "max_queue_size": 0}, {"log_dir": "x", "max_retries": -1}, {"log_dir": "x", "batch_size": 0}],
)
def test_arguments_that_make_no_sense_are_said_at_once(wrong):
    with pytest.raises(ValueError, match=r"at least|nowhere"):
        AsyncLogWriter(**wrong)
