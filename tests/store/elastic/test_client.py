"""The client, over real clusters, and over sockets that answer what a cluster in trouble would."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from tailrace.errors import ConfigError
from tailrace.store import Cancelled, Progress
from tailrace.store.elastic import client as module
from tailrace.store.elastic.client import (
    Access,
    AnswerTooLarge,
    Away,
    Client,
    NotThere,
    Overloaded,
    ReadOnly,
    Rejected,
)
from tests.apps.agent.tls import Tls, certificate
from tests.apps.programs import until
from tests.store.clusters import client_of

NOWHERE = "http://127.0.0.1:9"


class Node:
    """A node that says what it is told to, and remembers what it was asked."""

    def __init__(self):
        self.answers, self.asked, self.hold = [], [], threading.Event()
        self.hold.set()
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                node.asked.append((self.command, self.path, dict(self.headers), body))
                node.hold.wait(30)
                status, content = node.answers.pop(0) if node.answers else (200, {})
                text = content if isinstance(content, bytes) else orjson.dumps(content)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = answer  # noqa: N815 - the names that http.server looks for

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def node():
    one = Node()
    yield one
    one.close()


@pytest.fixture
def connect():
    made = []

    def one(*urls, **more):
        made.append(Client(Access(urls, **more)))
        return made[-1]

    yield one
    for client in made:
        client.close()


def refused(kind, reason="because"):
    return {"error": {"type": kind, "reason": reason, "root_cause": [{"type": kind, "reason": reason}]}}


def test_the_product_and_its_version_are_known(search_server):
    client = client_of(search_server)
    assert client.server().product == search_server.name
    assert client.server().number.count(".") == 2
    client.close()


def test_a_search_that_nobody_wants_any_more_ends_in_the_cluster_too(search_server):
    client, other = client_of(search_server), client_of(search_server)
    index, progress = search_server.prefix(), Progress(60)
    body = b"".join(b'{"index":{"_index":"%b"}}\n{"t":"%b"}\n' % (index.encode(), b"a" * 300) for _ in range(400))
    client.bulk(body)
    client.refresh(index)
    slow = {"query": {"bool": {"should": [{"regexp": {"t.keyword": f"(a*)*{n}(a|aa)+(b|c)*"}} for n in range(300)]}}}

    def searches():
        tasks = other.call("GET", "/_tasks?actions=indices:data/read/search*&detailed=true")["nodes"].values()
        return [task for node in tasks for task in node["tasks"].values() if index in task.get("description", "")]

    raised = []

    def search():
        try:
            while True:
                client.search(slow, progress, index=index)
        except Cancelled as error:
            raised.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    until(searches)
    progress.cancel()
    thread.join(10)
    assert raised
    until(lambda: not searches())
    client.delete_index(index)
    client.close()
    other.close()


def test_what_waits_for_an_answer_ends_within_moments_when_it_is_cancelled(node, connect):
    node.hold.clear()
    progress = Progress(60)
    threading.Timer(0.05, progress.cancel).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        connect(node.url).call("GET", "/", progress=progress)
    assert time.monotonic() - began < 30


def test_another_node_answers_when_one_is_away(node, connect):
    client = connect(NOWHERE, node.url)
    for _ in range(3):
        client.call("GET", "/")
    assert len(node.asked) == 3


def test_a_node_that_failed_is_left_alone_for_a_while(node, connect):
    other = Node()
    node.answers += [(503, refused("unavailable"))]
    client = connect(node.url, other.url)
    for _ in range(4):
        client.call("GET", "/")
    assert (len(node.asked), len(other.asked)) == (1, 4)
    other.close()


def test_when_no_node_answers_it_says_so_and_why(connect):
    with pytest.raises(Away, match=r"127\.0\.0\.1:9.*refused"):
        connect(NOWHERE).call("GET", "/")


def test_a_search_that_fails_everywhere_says_what_its_cause_was(node, connect):
    cause = {"type": "too_many_buckets_exception", "reason": "Trying to create too many buckets"}
    whole = {"root_cause": [], "type": "search_phase_execution_exception", "reason": "", "caused_by": cause}
    node.answers.append((503, {"error": whole}))
    with pytest.raises(Away, match="too many buckets"):
        connect(node.url).call("POST", "/_search", {})


def test_a_node_that_takes_too_long_is_away(node, connect):
    node.hold.clear()
    with pytest.raises(Away, match="too long"):
        connect(node.url).call("GET", "/", seconds_max=0.1)


@pytest.mark.parametrize(
    ("status", "kind", "error", "cure"),
    [
        (401, "security_exception", Rejected, r"elastic\.user"),
        (403, "security_exception", Rejected, "read, write, create"),
        (404, "index_not_found_exception", NotThere, "because"),
        (429, "es_rejected_execution_exception", Overloaded, "tried again"),
        (429, "cluster_block_exception", ReadOnly, "disk"),
        (403, "cluster_block_exception", ReadOnly, "disk"),
        (413, "", Rejected, "max_content_length"),
    ],
)
def test_a_refusal_says_what_a_person_can_do(node, connect, status, kind, error, cure):
    node.answers.append((status, refused(kind)))
    with pytest.raises(error, match=cure) as raised:
        connect(node.url).call("POST", "/_bulk", b"{}\n")
    assert raised.value.status == status


def test_an_old_cluster_is_not_used(node, connect):
    node.answers.append((200, {"version": {"number": "7.10.2"}}))
    with pytest.raises(ConfigError, match=r"elasticsearch 7\.10\.2 is too old"):
        connect(node.url).server()


def test_an_answer_beyond_the_bound_is_not_read(node, connect, monkeypatch):
    monkeypatch.setattr(module, "ELASTIC_ANSWER_BYTES_MAX", 1000)
    node.answers.append((200, b"[" + b" " * 2000 + b"]"))
    with pytest.raises(AnswerTooLarge):
        connect(node.url).call("GET", "/")


def test_a_connection_is_used_again_and_one_that_was_closed_is_made_anew(node, connect):
    client = connect(node.url)
    client.call("GET", "/")
    (waiting,) = client._nodes[0].idle
    client.call("GET", "/")
    assert client._nodes[0].idle == [waiting]
    waiting.sock.shutdown(2)
    client.call("GET", "/")
    assert len(node.asked) == 3


def test_secrets_are_read_from_files_and_stay_out_of_messages(node, connect, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    client = connect(node.url, user="ana", password_file=str(secret))
    client.call("GET", "/")
    assert node.asked[0][2]["Authorization"] == "Basic YW5hOnMzY3JldA=="
    node.answers.append((401, refused("security_exception", "unable to authenticate user")))
    with pytest.raises(Rejected) as raised:
        client.call("GET", "/")
    assert "s3cret" not in str(raised.value)
    key = tmp_path / "key"
    key.write_text("a2V5\n")
    connect(node.url, api_key_file=str(key)).call("GET", "/")
    assert node.asked[-1][2]["Authorization"] == "ApiKey a2V5"


def test_a_secret_that_cannot_be_read_says_which(node, connect, tmp_path):
    with pytest.raises(ConfigError, match=r"elastic\.api_key_file cannot be read"):
        connect(node.url, api_key_file=str(tmp_path / "none")).call("GET", "/")


def test_large_requests_are_compressed_when_that_is_wished(node, connect):
    import gzip

    body = b'{"index":{}}\n' * 1000
    connect(node.url, compress=True).call("POST", "/_bulk", body)
    assert node.asked[0][2]["Content-Encoding"] == "gzip"
    assert gzip.decompress(node.asked[0][3]) == body


def test_a_certificate_is_verified_with_the_authorities_that_are_named(node, connect, tmp_path):
    good, other = certificate(tmp_path, "good"), certificate(tmp_path, "other")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    front, url = Tls(node.server.server_port, port, good), f"https://127.0.0.1:{port}"
    try:
        assert connect(url, ca_file=str(good[1])).call("GET", "/") == {}
        with pytest.raises(Away, match=r"cannot be verified.*elastic\.ca_file"):
            connect(url, ca_file=str(other[1])).call("GET", "/")
    finally:
        front.close()
    assert len(node.asked) == 1


@pytest.mark.parametrize("url", ["es:9200", "ftp://es:9200", "http://ana:pw@es:9200", "http://es:9200?x=1"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ConfigError, match="not the address"):
        Access([url])


def test_an_index_that_is_not_there_is_nothing(search_server):
    client = client_of(search_server)
    name = search_server.prefix()
    assert client.indices(f"{name}-*") == []
    client.delete_index(name)
    pit = client.open_point_in_time(f"{name}-*", 60)
    assert pit is None or client.search({"pit": {"id": pit}})["hits"]["hits"] == []
    client.close()
