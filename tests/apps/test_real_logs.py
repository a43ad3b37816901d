"""Real logs followed as files: every line comes back byte for byte, from the right stream, with its time and level."""

import base64
import http.client
import json
from collections import defaultdict
from pathlib import Path

import pytest

from tests.apps.programs import Server, until

LOGHUB = Path(__file__).parents[3] / "shared" / "data" / "loghub"
SAMPLES = Path(__file__).parent / "samples"


def lines_of(path: Path) -> list[bytes]:
    """Return the lines as they are meant to come back: without their ends; a stray CR inside stays."""
    lines = path.read_bytes().split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def raw_of(record: dict) -> bytes:
    kept = record.get("fields", {}).get("raw_base64")
    return base64.b64decode(kept) if kept else record["message"].encode()


@pytest.fixture(scope="module")
def originals() -> dict[str, list[bytes]]:
    folder = LOGHUB if LOGHUB.is_dir() else SAMPLES
    return {path.name: lines_of(path) for path in sorted(folder.glob("*.log"))}


@pytest.fixture(scope="module")
def followed(tmp_path_factory, originals):
    folder = tmp_path_factory.mktemp("real")
    logs = folder / "logs"
    logs.mkdir()
    source = LOGHUB if LOGHUB.is_dir() else SAMPLES
    for name in originals:
        (logs / name).write_bytes((source / name).read_bytes())
    server = Server(folder / "data", logs, command="up")
    total = sum(map(len, originals.values()))
    until(lambda: server.get("/api/v1/stats", q="* | stats count() as n")["records"][0]["n"] >= total, seconds=60)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def found(followed) -> dict[str, list[dict]]:
    connection = http.client.HTTPConnection("127.0.0.1", followed.port, timeout=60)
    connection.request(
        "GET", "/api/v1/search?q=*&order=arrival&limit=100000", headers={"Accept": "application/x-ndjson"}
    )
    rows = [json.loads(line) for line in connection.getresponse().read().splitlines()]
    connection.close()
    assert rows[-1]["end"]["complete"]
    by_file = defaultdict(list)
    for row in rows[:-1]:
        by_file[Path(row["path"]).name].append(row)
    return by_file


def test_every_line_comes_back_byte_for_byte_in_the_order_of_its_file(found, originals):
    assert set(found) == set(originals)
    for name, lines in originals.items():
        assert [raw_of(record) for record in found[name]] == lines, name


def test_most_layouts_give_their_times(found, originals):
    with_time = [
        name for name, records in found.items() if sum(r["time"] != r["observed"] for r in records) > len(records) * 0.9
    ]
    assert len(with_time) >= len(originals) * 12 // 16


def test_levels_are_read_where_a_layout_has_them(found):
    with_level = {name for name, records in found.items() if sum("level" in r for r in records) > len(records) * 0.9}
    if LOGHUB.is_dir():
        carry_one = {"Android", "Apache", "BGL", "HDFS", "Hadoop", "OpenStack", "Spark", "Windows", "Zookeeper"}
        assert {name.removesuffix("_2k.log") for name in with_level} >= carry_one
    else:
        assert with_level


def test_a_tail_shows_what_a_search_over_the_same_cursors_shows(followed, found):
    everything = sorted(
        (row for rows in found.values() for row in rows), key=lambda row: int(row["cursor"].partition("-")[2])
    )
    for query in ("*", "error", "failed or 10.0.0.1"):
        searched = [
            r["cursor"] for r in followed.get("/api/v1/search", q=query, order="arrival", limit=100_000)["records"]
        ]
        assert tailed(followed, query, everything) == searched


def tailed(server: Server, query: str, everything: list[dict]) -> list[str]:
    """Return the cursors that long-polls from the beginning of the log give, until its end is reached."""
    epoch = everything[0]["cursor"].partition("-")[0]
    cursors, after = [], f"{epoch}-0"
    end = int(everything[-1]["cursor"].partition("-")[2]) + 1
    while int(after.partition("-")[2]) < end:
        answer = server.get("/api/v1/tail/poll", q=query, after=after, wait=1)
        for frame in answer["frames"]:
            assert frame["event"] in ("rows", "ping"), frame
            cursors += [record["cursor"] for record in frame.get("data", frame).get("records", [])]
        after = answer["next"]
    return cursors


def test_a_record_is_found_again_by_a_word_of_its_own(followed, found):
    record = found[min(found)][17]
    word = max(record["message"].split(), key=len)
    answer = followed.get("/api/v1/search", q='"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"', limit=100_000)
    assert record["cursor"] in {one["cursor"] for one in answer["records"]}
