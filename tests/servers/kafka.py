"""Kafka: brokers that are controllers as well (KRaft), each a process with a directory."""

import contextlib
import functools
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.apps.programs import until
from tests.servers.program import CACHE, JAVA, JVM, Program, fetched, listens
from tests.servers.proxy import Proxy
from tests.servers.run import Absent

HOME = CACHE / "kafka"
# Made once, by `make programs`: how a formatted disk begins, and the classes of a broker as they lie in memory, which
# halves its start (1.1 s of processor instead of 2.1).
FORMATTED = HOME / "bootstrap.checkpoint"
CLASSES = HOME / "classes.aot"
CLUSTER = "dGFpbHJhY2UtdGVzdHMtLQ"

# Short, so that a test need not wait long for the cluster to know that a broker or a member of a group is dead.
PROPERTIES = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "log.retention.ms": -1,  # records of tests may be of 1970
    "broker.session.timeout.ms": 6000,
    "broker.heartbeat.interval.ms": 1000,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    "group.consumer.min.session.timeout.ms": 1000,
    "group.consumer.min.heartbeat.interval.ms": 100,
    "offsets.topic.num.partitions": 2,
    "transaction.state.log.num.partitions": 2,
    "share.coordinator.state.topic.num.partitions": 1,
    "log.cleaner.dedupe.buffer.size": 2 << 20,
    "num.network.threads": 2,
    "num.io.threads": 2,
    "background.threads": 2,
}
# Nobody takes over from a broker that is alone, but when it comes back it waits until it is known to have gone.
ALONE = {"broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 300}


def command(properties, *flags):
    """Return the words that start a broker."""
    libraries = fetched("kafka", "libs")
    quiet = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "--sun-misc-unsafe-memory-access=allow", "-Xlog:disable")
    flags = flags or (f"-XX:AOTCache={CLASSES}",)
    return [JAVA, "-Xmx400m", *JVM, *quiet, *flags, "-cp", f"{libraries}/*", "kafka.Kafka", properties]


def version():
    return fetched("kafka", "libs/kafka_2.13-*.jar").stem.rpartition("-")[2]


class Kafka:
    """A cluster that runs: ``bootstrap`` are the addresses of its brokers."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    @functools.cached_property
    def admin(self):
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def topic(self, partitions=1, replication=1, *, name=None, config=None):
        """Make a topic that nobody else has, and return its name."""
        name = name or f"t-{secrets.token_hex(6)}"
        self.admin.create_topics([NewTopic(name, partitions, replication, config=config or {})])[name].result(60)
        until(lambda: self._led(name) == partitions, 60)
        return name

    def put(self, topic, *messages, partition=0, **more):
        """Write messages (values, or what ``produce`` is given of each), and return when the brokers have them all.

        A partition that was just made may be unknown to the broker that is asked for it: the client refuses at once
        then, and it is tried again.
        """
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5, "log_level": 0})
        waiting = [message if isinstance(message, dict) else {"value": message} for message in messages]

        def written():
            failed = []
            for message in waiting:
                told = functools.partial(lambda one, error, _: failed.append((one, error)) if error else None, message)
                producer.produce(topic, partition=partition, on_delivery=told, **message, **more)
            assert producer.flush(60) == 0
            assert not {error.code() for _, error in failed} - {KafkaError._UNKNOWN_PARTITION}, failed[0]
            waiting[:] = [message for message, _ in failed]
            return not waiting

        until(written, 60)

    def _led(self, name):
        """Return how many partitions of a topic have a leader."""
        return sum(one.leader >= 0 for one in self.admin.list_topics(name, timeout=10).topics[name].partitions.values())


class Cluster(Kafka):
    """A cluster of a test's own, whose ``brokers`` may be killed, paused and started again.

    ``proxied``: each broker is told to send its clients to one of ``proxies``; ``direct`` is the way past them.
    ``properties`` are those of the brokers' configuration that the test is about.
    """

    def __init__(self, run, directory, brokers=1, *, proxied=False, properties=None):
        numbers = range(1, brokers + 1)
        plain, controllers = ({number: run.port() for number in numbers} for _ in range(2))
        self.proxies = [Proxy(run.port(), ("127.0.0.1", run.port())) for _ in numbers] if proxied else []
        self.direct = ",".join(f"127.0.0.1:{port}" for port in plain.values())
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in controllers.items())
        self.brokers = []
        for number in numbers:
            ways = {"PLAINTEXT": (plain[number], plain[number])}
            if proxied:
                ways["PROXIED"] = (self.proxies[number - 1].port, self.proxies[number - 1].address[1])
            own = {
                "node.id": number,
                "controller.quorum.voters": voters,
                "listeners": _listeners({name: way[0] for name, way in ways.items()})
                + f",CONTROLLER://127.0.0.1:{controllers[number]}",
                "advertised.listeners": _listeners({name: way[1] for name, way in ways.items()}),
                **_copies(brokers),
                **(ALONE if brokers == 1 else {}),
                **(properties or {}),
            }
            self.brokers.append(_broker(run, directory / str(number), own))
        super().__init__(",".join(f"127.0.0.1:{proxy.address[1]}" for proxy in self.proxies) or self.direct)
        for broker, port in zip(self.brokers, plain.values(), strict=True):
            broker.until(functools.partial(listens, port))
        self.brokers[0].until(lambda: self._all_there(brokers))

    def close(self):
        for broker in self.brokers:
            broker.kill()
        for proxy in self.proxies:
            proxy.close()

    def _all_there(self, brokers):
        admin = AdminClient({"bootstrap.servers": self.direct, "log_level": 0})
        with contextlib.suppress(KafkaException):
            return len(admin.list_topics(timeout=10).brokers) == brokers
        return False


def start(run, directory):
    """Start the three brokers that all tests share."""
    cluster = Cluster(run, directory, 3)
    return {"bootstrap": cluster.bootstrap, "version": version()}


def _listeners(ports):
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())


def _copies(brokers):
    """Return how often the cluster keeps what it knows itself, when it has so many brokers."""
    several = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    least = {f"{name}.min.isr": min(brokers, 2) for name in several[1:]}
    return {f"{name}.replication.factor": min(brokers, 3) for name in several} | least


def _broker(run, directory, properties):
    properties = {**PROPERTIES, "log.dirs": directory / "data", **properties}
    file = directory / "server.properties"
    _format(directory / "data", properties["node.id"])
    file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    return Program(run, f"Kafka broker {properties['node.id']}", directory, command(file))


def _format(data, number):
    """Do what `kafka-storage format` does, which would start a JVM for it."""
    if not FORMATTED.exists():
        raise Absent(f"{FORMATTED} is missing: make programs")
    data.mkdir(parents=True)
    shutil.copy(FORMATTED, data)
    own = f"version=1\ncluster.id={CLUSTER}\nnode.id={number}\ndirectory.id={secrets.token_urlsafe(16)}\n"
    (data / "meta.properties").write_text(own)


def prepare():
    """Make what FORMATTED and CLASSES are, with a broker that lives as long as that takes."""
    if FORMATTED.exists() and CLASSES.exists():
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        file = directory / "server.properties"
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            port, controller = one.getsockname()[1], other.getsockname()[1]
        own = {
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "log.dirs": directory / "data",
            **_copies(1),
        }
        file.write_text("".join(f"{name}={value}\n" for name, value in {**PROPERTIES, **own}.items()))
        words = command(file, f"-XX:AOTCacheOutput={CLASSES}")
        storage = [*words[: words.index("kafka.Kafka")], "kafka.tools.StorageTool"]
        storage = [word for word in storage if not str(word).startswith("-XX:AOT")]
        subprocess.run([*storage, "format", "-t", CLUSTER, "-c", file], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(directory / "data" / FORMATTED.name, FORMATTED)
        with (directory / "log").open("wb") as log:
            broker = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            until(lambda: broker.poll() is not None or listens(port), 90)
            AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}).list_topics(timeout=30)
        finally:
            broker.send_signal(signal.SIGTERM)
            broker.wait(90)
        assert CLASSES.exists(), (directory / "log").read_text()


if __name__ == "__main__":
    prepare()
