from tailrace.metrics import Metrics


def test_counters_count_and_gauges_are_read_when_asked():
    metrics, value = Metrics(), [1.0]
    metrics.gauge("answer", "What it is.", lambda: value[0])
    metrics.pushed_records.inc(3)
    value[0] = 42
    lines = metrics.text().decode().splitlines()
    assert {"tailrace_pushed_records_total 3.0", "tailrace_answer 42.0", "# HELP tailrace_answer What it is."} <= set(
        lines
    )


def test_two_processes_in_one_do_not_share_counters():
    one, other = Metrics(), Metrics()
    one.pushed_records.inc()
    assert b"tailrace_pushed_records_total 0.0" in other.text()
