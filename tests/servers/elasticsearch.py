"""Elasticsearch, as its makers publish it for tests: the server with hardly any of its modules.

It has no painless, no analysis but the built-in analyzers, no `_delete_by_query`, and `GET /` is 405.
"""

import shutil

from tests.servers.program import JVM, Program, fetched, installed, not_root
from tests.servers.search import HEAP, SearchServer, answers, words


def one(run, directory, **settings):
    """Start one, and return its process and how it is spoken to; ``settings`` are more of them, or others.

    It runs in the Java of Maven: JAVA has no jdk.jlink, which it insists on.
    """
    home = fetched("elasticsearch", "elasticsearch-*")
    config, scratch = directory / "config", directory / "tmp"
    config.mkdir()
    scratch.mkdir()
    shutil.copy(home / "config" / "log4j2.properties", config)
    (config / "elasticsearch.yml").touch()
    options = (*JVM, *HEAP, f"-Djava.io.tmpdir={scratch}")
    (config / "jvm.options").write_text("".join(f"{option}\n" for option in options))
    server = SearchServer("elasticsearch", f"http://127.0.0.1:{(port := run.port())}")
    about = {
        "cli.name": "server",
        "cli.script": "bin/elasticsearch",
        "cli.libs": "lib/tools/server-cli",
        "es.path.home": home,
        "es.path.conf": config,
        "es.distribution.type": "zip",
        "es.java.type": "ES_JAVA_HOME",
    }
    launcher = ("-Xmx64m", *JVM, *(f"-D{name}={value}" for name, value in about.items()))
    classes = f"{home / 'lib'}/*:{home / 'lib' / 'cli-launcher'}/*"
    java = [*not_root(), installed("java", "default-jre-headless"), *launcher, "-cp", classes]
    about_it = words(run, directory, port, **{"xpack.security.enabled": "false"}, **settings)
    command = [*java, "org.elasticsearch.launcher.CliToolLauncher", *about_it]
    program = Program(run, "Elasticsearch", directory, command, folder=home, ES_TMPDIR=str(scratch))
    program.until(lambda: answers(server))
    return program, server


def start(run, directory):
    """Start the one that all tests share."""
    _, server = one(run, directory)
    nodes = server.call("GET", "/_nodes/_local")[1]["nodes"].values()
    return {"url": server.url, "version": next(iter(nodes))["version"]}
