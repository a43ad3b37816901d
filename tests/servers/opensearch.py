"""OpenSearch, with all of its modules but analysis-common, and no plugin.

That module makes an analyser for Thai for every index, and there is no dictionary of Thai in JAVA, which was cut to be
small. What is tested here must do without it anyway: `elasticsearch.py` has no such module either.
"""

import shutil

from tests.servers.program import JAVA, JVM, Program, fetched, not_root
from tests.servers.search import HEAP, SearchServer, answers, words


class OpenSearch(Program, SearchServer):
    """A server of a test's own; past its launcher, which starts two JVMs to find the options of a third."""

    def __init__(self, run, directory):
        home = fetched("opensearch", "opensearch-*")
        shutil.copytree(home / "config", directory / "config")
        (directory / "tmp").mkdir()
        port = run.port()
        SearchServer.__init__(self, "opensearch", f"http://127.0.0.1:{port}")
        options = (
            *JVM,
            *HEAP,
            f"-Djava.io.tmpdir={directory / 'tmp'}",
            f"-javaagent:{home / 'agent' / 'opensearch-agent.jar'}",
            "--add-opens=java.base/java.nio=ALL-UNNAMED",
            "--enable-native-access=ALL-UNNAMED",
            f"-Dopensearch.path.home={home}",
            f"-Dopensearch.path.conf={directory / 'config'}",
            "-Dopensearch.distribution.type=zip",
            "-Dopensearch.bundled_jdk=false",
        )
        java = [*not_root(), JAVA, *options, "-cp", f"{home / 'lib'}/*", "org.opensearch.bootstrap.OpenSearch"]
        Program.__init__(self, run, "OpenSearch", directory, [*java, *words(run, directory, port)], folder=home)

    def start(self):
        super().start()
        self.until(lambda: answers(self))


def start(run, directory):
    """Start the one that all tests share."""
    server = OpenSearch(run, directory)
    return {"url": server.url, "version": server.call("GET", "/")[1]["version"]["number"]}
