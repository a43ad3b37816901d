"""Two servers over the same topic: who watches at one goes on at the other, and nobody on Kafka knows of either."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import NewPartitions

from tailrace.cursor import Checkpoint
from tests.apps.cluster.conftest import PARTITIONS
from tests.apps.cluster.writing import Writer, by_file, groups
from tests.apps.collection.test_applications import connects, free_port
from tests.apps.programs import Server, tailrace, until
from tests.apps.tail.reading import tailing
from tests.apps.tail.test_proxy import documented
from tests.apps.tail.ways import WAYS, Way

EVER = 10**9


def until_all_is_there(ways: dict[str, Way], writer: Writer) -> None:
    """Wait until each client has every line once, those of a file in their order."""
    count = sum(map(len, writer.written.values()))
    for name, way in ways.items():
        until(lambda way=way: len(way.numbers) >= count, 60)
        assert by_file(way.numbers) == writer.written, name
        assert way.gaps == [], name


@contextmanager
def nginx(folder: Path, servers: list[Server], lines: str) -> Iterator[int]:
    """Put nginx in front of servers, with its defaults and ``lines`` in its location; give its port."""
    port = free_port()
    upstream = " ".join(f"server 127.0.0.1:{server.port};" for server in servers)
    (folder / "nginx.conf").write_text(f"""
        pid {folder}/pid; error_log {folder}/error.log; daemon off; master_process off;
        events {{}}
        http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
          fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
          upstream all {{ {upstream} }}
          server {{ listen 127.0.0.1:{port};
            location / {{ proxy_pass http://all; {lines} }} }} }}""")
    running = subprocess.Popen(["nginx", "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        until(lambda: connects(port))
        yield port
    finally:
        running.terminate()
        running.wait(20)


def test_behind_nginx_viewers_of_a_server_that_is_killed_go_on_at_the_other_with_every_line_once(
    serve: Callable[..., Server], writer: Writer, tmp_path: Path, kafka
) -> None:
    first, second = serve(), serve()
    after = first.get("/api/v1/tail/poll", wait="0")["next"]
    with nginx(tmp_path, [first, second], documented()) as port:
        ways: dict[str, Way] = {name: kind(port, after, EVER) for name, kind in WAYS.items()}
        try:
            for way in ways.values():
                way.start()
            writer.write(40, time.time_ns())
            until(lambda: all(len(way.numbers) > 20 for way in ways.values()), 60)
            assert second.get("/api/v1/status")["tails"] in range(1, len(ways)), "nginx spreads them"
            first.stop(signal.SIGKILL)
            for _ in range(5):
                writer.write(20, time.time_ns())
            until_all_is_there(ways, writer)
        finally:
            for way in ways.values():
                way.stop()
    ours = re.compile(r"tailrace-[0-9a-f]{16}")  # what clients have to call themselves; other tests have groups as well
    assert not [name for name in groups(kafka.bootstrap) if ours.fullmatch(name)], "who watches joins no group"


def test_what_one_server_is_sent_is_found_and_watched_at_the_other(serve: Callable[..., Server]) -> None:
    first, second = serve(), serve()
    status, answer = first.push(b'{"message":"over here"}\n', parameters={"service": "shop"})
    assert (status, answer["accepted"]) == (200, 1)
    assert second.messages(q="here") == ["over here"]
    frames = second.get("/api/v1/tail/poll", last="5", wait="20")["frames"]
    assert [record["message"] for record in frames[0]["records"]] == ["over here"]
    position = second.get("/api/v1/tail/poll", wait="0")["next"]
    assert first.get("/api/v1/verify", to=position)["count"] == 1


def test_agents_are_told_to_ship_to_kafka(serve: Callable[..., Server]) -> None:
    status, _, body = serve().call("GET", "/api/v1/push/blocks", {"source": "agent:1.0"})
    assert status == 403
    assert b"agents ship to Kafka" in body


def test_a_partition_that_is_added_is_read_from_its_beginning_here_and_at_a_server_that_has_just_started(
    serve: Callable[..., Server], writer: Writer, kafka
) -> None:
    first, second = serve(), serve()
    with tailing(first) as tail:
        kafka.admin.create_partitions([NewPartitions(writer.topic, PARTITIONS + 1)])[writer.topic].result(30)
        kafka.put(writer.topic, b"in the new one", partition=PARTITIONS)
        assert tail.until_count(1).messages == ["in the new one"]
        seen = tail.last_id
    with tailing(second, after=seen) as tail:
        kafka.put(writer.topic, b"and another", partition=PARTITIONS)
        assert tail.until_count(1).messages == ["and another"]
        assert tail.gaps == []


def test_who_watches_a_pattern_sees_a_topic_that_is_made_meanwhile_from_its_beginning(
    serve: Callable[..., Server], writer: Writer, kafka
) -> None:
    server = serve(TAILRACE_KAFKA__TOPICS=f"{writer.topic},^{writer.topic}-more")
    with tailing(server) as tail:
        writer.write(2, time.time_ns())
        tail.until_count(6)
        seen = tail.last_id
        more = kafka.topic(2, name=f"{writer.topic}-more")
        kafka.put(more, b"in another topic", partition=1)
        assert tail.until_count(7).messages[-1] == "in another topic"
        assert len(Checkpoint.parse(tail.last_id).cursors) > PARTITIONS
    with tailing(serve(TAILRACE_KAFKA__TOPICS=f"{writer.topic},^{writer.topic}-more"), after=seen) as tail:
        assert tail.until_count(1).messages == ["in another topic"]
        assert tail.gaps == []


@pytest.mark.parametrize("topics", ["^logs-", "logs,^("])
def test_a_server_refuses_patterns_alone_and_what_is_no_pattern(kafka, tmp_path: Path, topics: str) -> None:
    settings = {"TAILRACE_KAFKA__BROKERS": kafka.bootstrap, "TAILRACE_KAFKA__TOPICS": topics}
    ended = tailrace("serve", "--data", tmp_path, "--listen", "127.0.0.1:0", **settings)
    assert ended.returncode
    assert b"kafka.topics" in ended.stderr
