"""Real clusters for tests: a client of each, and the removal of what a test has left there."""

from contextlib import suppress

from tailrace.store.elastic.client import Access, Client, NotThere
from tailrace.store.elastic.store import STATE, ElasticStore

CLUSTERS = ("opensearch", "elasticsearch")


def client_of(server) -> Client:
    return Client(Access([server.url]))


def clean(client: Client, prefix: str) -> None:
    """Remove the indices of a prefix, its template and what a store remembers of it."""
    for index in client.indices(f"{prefix}-*"):
        client.delete_index(index)
    for path in (f"/{STATE}/_doc/{prefix}", f"/_index_template/{prefix}"):
        with suppress(NotThere):
            client.call("DELETE", path)


def store_of(client: Client, prefix: str, **more) -> ElasticStore:
    return ElasticStore(client, prefix, replicas=0, **more)
