"""What OpenSearch and Elasticsearch have in common."""

import json
import secrets
import urllib.error
import urllib.request

SETTINGS = {
    "cluster.name": "tests",
    "node.name": "tests",
    "node.processors": 2,
    "discovery.type": "single-node",
    "network.host": "127.0.0.1",
    "cluster.max_shards_per_node": 10_000,  # every test has indices of its own, one for each day
    "cluster.routing.allocation.disk.threshold_enabled": "false",  # a disk that is nearly full is no reason to stop
    "cluster.info.update.interval": "1d",  # whenever it is looked at, the block of a full one is lifted
}
HEAP = ("-Xms256m", "-Xmx700m")


class SearchServer:
    """One that runs at ``url``; ``name`` is opensearch or elasticsearch."""

    def __init__(self, name, url, version=""):
        self.name = name
        self.url = url
        self.version = version

    def call(self, method, path, body=None):
        """Make a call; return its status and JSON. A list becomes lines (NDJSON), as `_bulk` wishes."""
        lines = [json.dumps(line) + "\n" for line in (body if isinstance(body, list) else [body])]
        data = None if body is None else "".join(lines).encode()
        headers = {"Content-Type": "application/x-ndjson" if isinstance(body, list) else "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def prefix(self):
        """Return a beginning for the names of indices that no other test has."""
        return f"t-{secrets.token_hex(6)}"


def words(run, directory, http, **more):
    """Return the settings as words of a command."""
    own = {"path.data": directory / "data", "path.logs": directory / "logs", "http.port": http, **more}
    return [f"-E{name}={value}" for name, value in {**SETTINGS, "transport.port": run.port(), **own}.items()]


def answers(server):
    """Say whether a server that is starting lets itself be used."""
    try:
        return server.call("GET", "/_cluster/health")[0] == 200
    except OSError:
        return False
