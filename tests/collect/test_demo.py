"""The demo shows something at once, and goes on."""

import time

import numpy as np
import pyarrow as pa

from tailrace.collect.demo import Demo
from tailrace.lines import Lines
from tailrace.pipeline import Pipeline
from tailrace.record import Origin, Stream


def test_history_is_always_the_same_for_a_seed_and_a_start(tmp_path):
    for name in ("a", "b"):
        Demo(tmp_path / name, seed=7, start_s=1.7e9).write_history()
    for service in ("checkout", "gateway", "billing"):
        text = (tmp_path / "a" / f"{service}.log").read_bytes()
        assert text == (tmp_path / "b" / f"{service}.log").read_bytes()
        assert text.count(b"\n") > 500


def test_history_is_understood_line_by_line(tmp_path):
    Demo(tmp_path, seed=7, start_s=1.7e9).write_history()
    for service in ("checkout", "gateway", "billing"):
        raw = (tmp_path / f"{service}.log").read_bytes().splitlines()
        stream = Stream.of({"path": f"{tmp_path}/{service}.log"})
        lines = Lines(pa.array(raw), np.arange(len(raw)), stream, 0, Origin("file:1", 0, 1, len(raw)))
        batch = Pipeline().process(lines)
        assert (np.diff(batch.numpy("time")) >= 0).all()
        assert batch.numpy("time").min() >= (1.7e9 - 1800) * 1e9
        assert set(np.unique(batch.numpy("level")).tolist()) >= {3, 4, 5}


def test_it_goes_on_until_it_is_stopped(tmp_path):
    demo = Demo(tmp_path, seed=1)
    demo.start()
    sizes = sum(path.stat().st_size for path in tmp_path.iterdir())
    end = time.monotonic() + 20
    while sum(path.stat().st_size for path in tmp_path.iterdir()) == sizes and time.monotonic() < end:
        time.sleep(0.01)
    demo.stop()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) > sizes
