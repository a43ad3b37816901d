"""What is followed: the entries of the configuration, the demo, or what was found; and how that changes while it runs.

Sources, in this order, the first that fits a file having it: ``[[collect.entries]]``, ``collect.paths``, the demo. When
there is none of them, the logs of the machine are looked for, again and again. Beside files there is what is none:
syslog, the journal, standard input.

With ``[etcd]`` the entries that it holds for this machine come behind those of the file (collect/etcd.py), and nothing
is looked for.

Change. A thread reads the file of the configuration every CONFIG_LOOK_S (following links: a file that was replaced by
rename, or by the switch of a link above it, is noticed too) and applies what it found the same twice, for editors write
in pieces; SIGHUP applies it at once. Only the difference reaches the files, and none is read again. A file that cannot
be read or makes no sense changes nothing: it is said once on stderr, and counts as a problem until it is mended. What
cannot change while the program runs is listed as needing a restart.
"""

from __future__ import annotations

import contextlib
import glob
import resource
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import tailrace
from tailrace.agent import Collector
from tailrace.bus import Bus
from tailrace.collect import entries, remote
from tailrace.collect.addresses import addresses
from tailrace.collect.demo import SERVICES, Demo
from tailrace.collect.discover import Found, Rediscovery, discover
from tailrace.collect.entries import Wish, difference, entry_of
from tailrace.collect.words import AgentState, Collecting, CollectParameters, ConfigurationStatus
from tailrace.config import Config, Settings, frozen_changes, read, seconds, size
from tailrace.errors import ConfigError
from tailrace.limits import CONFIG_LOOK_S, START_FOUND, STATE_PROBLEM_CHARACTERS_MAX, STATE_PROBLEMS_MAX
from tailrace.pipeline import Pipeline
from tailrace.sources.entry import Entry
from tailrace.sources.journal import Journal
from tailrace.sources.journal import is_there as journal_is_there
from tailrace.sources.stdin import Stdin

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from tailrace.collect.etcd import Presence, Wishes
    from tailrace.sources.syslog import Syslog


def to_stderr(what: str) -> None:
    """Say something to who started the program."""
    sys.stderr.write(f"tailrace: {what}\n")
    sys.stderr.flush()


class Following:
    """The collector of one process, and the thread that keeps it to its configuration."""

    def __init__(
        self,
        bus: Bus,
        config: Config,
        directory: Path,
        settings: Settings | None = None,
        pipelines: Sequence[Pipeline] = (),
        *,
        say: Callable[[str], None] = to_stderr,
        applied: Callable[[Config], None] | None = None,
        shipping: Callable[[], tuple[int, list[str]]] = lambda: (0, []),
    ) -> None:
        """``directory`` is our own data, of which nothing is followed; ``settings`` is where ``config`` came from.

        ``pipelines`` belong to what comes by other ways: what is masked changes there too, and is counted. ``applied``
        is called, in a thread, with a configuration that makes sense; it may raise ConfigError. ``shipping`` returns
        how many records wait to be shipped, and what is wrong with that.
        """
        self._started = config
        self._config = config
        self._directory = directory
        self._settings = settings if settings and settings.path else None
        self._say = say
        self._applied = applied
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self.found: list[Found] = []
        self._rediscovery: Rediscovery | None = None
        self._demo = Demo(directory / "demo") if config.collect.demo else None
        self._content = self._read() if self._settings else b""
        self.configuration = ConfigurationStatus(self._settings.path if self._settings else None, _now())
        self._bus = bus
        self.others: list[Syslog | Journal | Stdin] = []
        self._pipelines = [*pipelines]
        self._zone = datetime.now().astimezone().tzinfo or UTC
        raise_files_max()
        own = [directory / "bus", directory / "spool", directory / "store"]
        self.collector = Collector(bus, [], exclude=own, allow=config.collect.allow, zone=self._zone)
        self._shipping = shipping
        self._began = _now()
        self._wishes: Wishes | None = None
        self._presence: Presence | None = None
        if config.etcd.endpoints:
            self._wishes, self._presence = self._of_etcd(directory)
        self._stopping = False
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="configuration", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        if self._demo:
            self._demo.start()
        self._look_for_logs()
        self._publish()
        self._listen()
        self.collector.start()
        if self._wishes and self._presence:
            self._say(f"etcd decides what is followed besides: {', '.join(self._wishes.keys)}")
            self._wishes.start()
            self._presence.start()
        if self._settings:
            self._thread.start()

    def stop(self) -> None:
        """Stop reading, and wait for what the bus has been given."""
        self._stopping = True
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._wishes and self._presence:
            self._presence.stop()
            self._wishes.stop()
        if self._demo:
            self._demo.stop()
        if self._rediscovery:
            self._rediscovery.stop()
        self.collector.stop()
        for other in self.others:
            other.stop()

    def _listen(self) -> None:
        """Start what is no file: syslog, the journal, standard input."""
        wanted = self._config.collect
        host = wanted.host or socket.gethostname()
        if wanted.syslog:
            from tailrace.sources.syslog import Syslog  # asyncio and TLS, which few need

            cert, key = wanted.syslog_cert, wanted.syslog_key
            self.others.append(Syslog(self._bus, wanted.syslog, pipeline=self._pipeline(), certificate=cert, key=key))
        if wanted.journal or (self.searching and journal_is_there()):
            start = wanted.start or ("beginning" if wanted.journal else START_FOUND)
            if start not in ("beginning", "end"):
                start = str(size(start))
            self.others.append(Journal(self._bus, pipeline=self._pipeline(), host=host, start=start))
        if "-" in wanted.paths:
            self.others.append(Stdin(self._bus, pipeline=self._pipeline(), host=host))
        for other in self.others:
            other.start()

    def _pipeline(self) -> Pipeline:
        """Make a pipeline for what is no file: it has no entry that says what is masked."""
        self._pipelines.append(Pipeline(self._zone, self._config.collect.masks))
        return self._pipelines[-1]

    def reload(self) -> None:
        """Have the configuration read and applied now; returns at once. From any thread."""
        self._asked.set()

    @property
    def searching(self) -> bool:
        """Whether the logs of the machine are looked for, because nothing was named."""
        wanted = self._config.collect
        return wanted.discover and not (wanted.paths or wanted.entries or self._demo or self._wishes)

    @property
    def paths(self) -> list[str]:
        """What is followed now: the paths of the entries."""
        return [entry.path for entry in self._entries]

    def problems(self) -> list[str]:
        """Return what is wrong, a bounded number of sentences."""
        found = [f"the configuration: {self.configuration.error}"] if self.configuration.error else []
        if self.configuration.restart_needed:
            found.append(f"a restart is needed for {', '.join(self.configuration.restart_needed)}")
        others = [other.status() for other in self.others]
        found += [f"{other.name}: {other.error}" for other in others if other.error]
        if self._wishes and self._presence:
            found += self._wishes.problems()
            found += [self._presence.error] if self._presence.error and not self._wishes.away else []
        return found + self.collector.report.problems()

    def answer(self, given: CollectParameters) -> Collecting:
        """Answer a question about collecting. From any thread."""
        return self.collector.report.answer(given, self.paths, self.configuration, self.problems())

    def metrics(self) -> Iterator[Metric]:
        """Yield what ``/metrics`` says about collecting. From any thread."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # an agent does not pay for it

        report = self.collector.report
        summary = report.summary()
        states = GaugeMetricFamily("tailrace_files_by_state", "Files that are followed, by state.", labels=["state"])
        for state, count in summary.states.items():
            states.add_metric([state], count)
        yield states
        yield GaugeMetricFamily("tailrace_lag_bytes", "Bytes of files that the bus has not.", value=summary.lag_bytes)
        yield GaugeMetricFamily("tailrace_lag_bytes_max", "The most of one file.", value=summary.lag_bytes_max)
        yield GaugeMetricFamily("tailrace_lag_seconds", "How long the oldest of them has waited.", value=summary.lag_s)
        yield CounterMetricFamily("tailrace_lines_read", "Lines read from files.", value=report.lines)
        yield CounterMetricFamily("tailrace_read_errors", "Reads of files that failed.", value=report.read_errors)
        reloads = CounterMetricFamily("tailrace_config_reloads", "Changes of the configuration.", labels=["end"])
        reloads.add_metric(["applied"], self.configuration.reloads)
        reloads.add_metric(["failed"], self.configuration.failures)
        yield reloads
        pipeline = self.collector.pipeline
        for name, what, key, counts in (
            ("records_dropped", "Records that an entry's filter left out.", "drop", pipeline.dropped),
            ("records_sampled_out", "Records that sampling left out.", "where", pipeline.sampled),
        ):
            family = CounterMetricFamily(f"tailrace_{name}", what, labels=[key])
            for label, count in counts.copy().items():
                family.add_metric([label], count)
            yield family
        yield redacted([pipeline, *self._pipelines])

    # -- the configuration -------------------------------------------------------------------------------------

    def _run(self) -> None:
        seen = self._content
        while True:
            asked = self._asked.wait(CONFIG_LOOK_S)
            self._asked.clear()
            if self._stopping:
                return
            content = self._read()
            if asked or content == seen != self._content:
                self._content = content
                self._apply()
            seen = content

    def _read(self) -> bytes | str:
        """Return the content of the file, or why it cannot be read."""
        assert self._settings is not None
        assert self._settings.path is not None
        try:
            return read(self._settings.path)
        except OSError as error:
            return str(error)
        except ConfigError as error:
            return error.message

    def _apply(self) -> None:
        assert self._settings is not None
        state = self.configuration
        try:
            wanted = self._settings.load()
            if self._wishes:
                _agree(wanted, self._wishes.wishes)
            if self._applied:
                self._applied(wanted)
        except ConfigError as error:
            state.failures += 1
            if state.error != error.message:
                self._say(f"the configuration stays as it was: {error}")
            state.error = error.message
            return
        if state.error:
            self._say("the configuration makes sense again")
        needed = frozen_changes(self._started, wanted)
        if needed and needed != state.restart_needed:
            self._say(f"a restart is needed for {', '.join(needed)}")
        state.error, state.restart_needed = "", needed
        if wanted.collect.masks != self._config.collect.masks:
            self._say("the configuration has changed: what is masked")
        for pipeline in self._pipelines:
            pipeline.redact = wanted.collect.masks
        self._config = wanted
        if self._wishes:
            self._wishes.recheck()
        self._look_for_logs()
        added, removed, changed = self._publish()
        if added or removed or changed:
            self._say(f"the configuration has changed: entries {_counts(added, removed, changed)}")
        state.loaded = _now()
        state.reloads += 1  # the last of all: who waits for it finds everything applied

    # -- etcd --------------------------------------------------------------------------------------------------

    def _of_etcd(self, directory: Path) -> tuple[Wishes, Presence]:
        from tailrace.collect.etcd import Presence, Wishes, keys_of  # few have one
        from tailrace.collect.gateway import Gateway

        etcd = self._started.etcd
        host = self._started.collect.host or socket.gethostname()
        gateway = Gateway(etcd)
        wishes = Wishes(gateway, lambda: keys_of(etcd, host), directory, self._check, self._told)
        return wishes, Presence(gateway, etcd.prefix, host, seconds(etcd.gone_after), self._state)

    def _check(self, wishes: Sequence[Wish]) -> None:
        """Raise ConfigError for entries of etcd that may not be followed here."""
        wanted = self._config.collect
        remote.check(wishes, wanted.rules, wanted.redact, self._started.collect.allow, here=True)

    def _told(self) -> None:
        """Follow what etcd says now."""
        added, removed, changed = self._publish()
        if added or removed or changed:
            self._say(f"etcd has changed what is followed: entries {_counts(added, removed, changed)}")
        if self._presence:
            self._presence.look()

    def _state(self) -> AgentState:
        """Return what etcd learns of this agent."""
        waiting, problems = self._shipping()
        report, wanted = self.collector.report, self._config.collect
        said = [*problems, *self.problems()][:STATE_PROBLEMS_MAX]
        return AgentState(
            host=self._started.collect.host or socket.gethostname(),
            version=tailrace.__version__,
            ips=addresses(),
            started=self._began,
            at=_now(),
            files=report.count(),
            lag_bytes=report.summary().lag_bytes,
            waiting_records=waiting,
            entries=len(self._entries),
            problems=[problem[:STATE_PROBLEM_CHARACTERS_MAX] for problem in said],
            sources=self._wishes.sources() if self._wishes else [],
            allow=self._started.collect.allow,
            rules=list(wanted.rules),
        )

    # -- the entries -------------------------------------------------------------------------------------------

    def _look_for_logs(self) -> None:
        """Begin or end to look for the logs of the machine."""
        if self.searching and self._rediscovery is None:
            own = [self._directory, *map(Path, self._config.collect.exclude)]
            self.found = discover(own)
            self._rediscovery = Rediscovery(own, self.found, self._add)
            self._rediscovery.start()
        elif self._rediscovery and not self.searching:
            self._rediscovery.stop()
            self._rediscovery, self.found = None, []

    def _add(self, found: list[Found]) -> None:
        self.found = [*self.found, *found]
        self._publish()

    def _publish(self) -> tuple[list[str], list[str], list[str]]:
        """Have the collector follow what is wanted now, if that is anything else; return the difference."""
        with self._lock:
            wanted = list(self._wanted())
            changes = difference(self._entries, wanted)
            if wanted != self._entries:
                self._entries = wanted
                self.collector.set(wanted)
            return changes

    def _wanted(self) -> Iterator[Entry]:
        wanted = self._config.collect
        host = wanted.host or socket.gethostname()
        wishes = [*wanted.entries, *(Wish(path, start=wanted.start) for path in wanted.paths if path != "-")]
        if self._demo:
            folder = self._directory / "demo"
            wishes += [Wish(str(folder / f"{service}.log"), labels={"service": service}) for service in SERVICES]
        elif self.searching:
            start = wanted.start or START_FOUND
            wishes += [Wish(glob.escape(one.path), start=start) for one in self.found]
        if self._wishes:
            wishes += [remote.masked(wish, wanted.redact) for wish in self._wishes.wishes]
        for wish in wishes:
            yield entry_of(wish, wanted.rules, host=host, exclude=wanted.exclude, redact=wanted.redact)


def redacted(pipelines: Sequence[Pipeline]) -> Metric:
    """Return how many values were masked in all of them."""
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily("tailrace_values_redacted", "Values that were masked.", labels=["rule"])
    counts: Counter[str] = Counter()
    for pipeline in pipelines:
        counts.update(pipeline.redacted.copy())
    for rule, count in counts.items():
        family.add_metric([rule], count)
    return family


def raise_files_max() -> None:
    """Have as many descriptors as this process may: each followed file holds one, and each client."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some kernels allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _agree(wanted: Config, wishes: Sequence[Wish]) -> None:
    """Raise ConfigError when entries of etcd, which stay, make no sense with a configuration: they name its rules."""
    try:
        entries.check(wishes, wanted.collect.rules, wanted.collect.redact)
    except ConfigError as error:
        raise ConfigError(
            f"an entry of etcd needs what is not there any more: {error.message}", cure=error.cure
        ) from error


def _counts(added: list[str], removed: list[str], changed: list[str]) -> str:
    named = {"added": added, "removed": removed, "changed": changed}
    return ", ".join(f"{len(paths)} {what}" for what, paths in named.items() if paths)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
