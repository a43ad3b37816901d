"""The configuration: one TOML file, every key also in the environment, and the flags of a command over both.

Order: defaults, the file, ``TAILRACE_SECTION__KEY``, flags; the last that says something wins. A key that nobody
knows is an error with a suggestion, never ignored. Sizes are bytes or ``10 GB`` / ``10 GiB``, spans ``30d`` ``12h``.
What there is to set is in ``sections.py``; what of it applies while the program runs, when the file changes, in ``LIVE``.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Meta, Struct

from tailrace.api import suggestion
from tailrace.collect import entries
from tailrace.collect.entries import Rule, Wish
from tailrace.collect.gateway import Etcd
from tailrace.errors import ConfigError
from tailrace.limits import (
    CONFIG_BYTES_MAX,
    ETCD_GONE_S_MAX,
    ETCD_GONE_S_MIN,
    SPOOL_BYTES_MIN,
)
from tailrace.sections import Agent, Collect, Data, Elastic, Index, Kafka, Quota, Redis, Server, Store

if TYPE_CHECKING:
    from tailrace.ship.connection import Server as Output
    from tailrace.ship.kafka import Cluster

_SIZES = {
    "": 1,
    "b": 1,
    **{u + s: (1000 if s == "b" else 1024) ** n for n, u in enumerate("kmgt", 1) for s in ("b", "ib")},
}
_INDEX = re.compile(r"[a-z][a-z0-9_-]{0,99}")
_SPANS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

LIVE = {
    "collect": {"paths", "discover", "exclude", "start", "host", "entries", "redact", "rules"},
    "agent": {"servers", "token_file", "ca_file", "topic", "partition_by", "acks", "compression"},
}
"""Keys that apply while the program runs, when the file changes; by section."""


class Config(Struct, forbid_unknown_fields=True):
    """All sections."""

    data: Data = msgspec.field(default_factory=Data)
    server: Server = msgspec.field(default_factory=Server)
    store: Store = msgspec.field(default_factory=Store)
    collect: Collect = msgspec.field(default_factory=Collect)
    agent: Agent = msgspec.field(default_factory=Agent)
    quota: Quota = msgspec.field(default_factory=Quota)
    kafka: Kafka = msgspec.field(default_factory=Kafka)
    elastic: Elastic = msgspec.field(default_factory=Elastic)
    etcd: Etcd = msgspec.field(default_factory=Etcd)
    index: Index = msgspec.field(default_factory=Index)
    redis: Redis = msgspec.field(default_factory=Redis)

    @property
    def outputs(self) -> list[Output | Cluster]:
        """What an agent ships to, each with how it is reached. Raises ConfigError."""
        from tailrace.ship.connection import Server as Output  # only agents pay for it

        agent = self.agent
        found: list[Output | Cluster] = [Output(url, agent.token_file, agent.ca_file) for url in agent.servers]
        if self.kafka.brokers:
            from tailrace.ship.kafka import Cluster

            found.append(
                Cluster(
                    self.kafka.cluster,
                    topic=agent.topic,
                    partition_by=agent.partition_by,
                    acks=agent.acks,
                    compression=agent.compression,
                    partitions=self.kafka.partitions,
                    replication=self.kafka.replication,
                )
            )
        return found

    @property
    def directory(self) -> Path:
        """The data directory."""
        if self.data.directory:
            return Path(self.data.directory).expanduser()
        base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        return Path(base).expanduser() / "tailrace"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        return address(self.server.listen)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the configuration of this process comes from: it can be read again when the file changes."""

    path: str | None
    environment: Mapping[str, str]
    flags: Mapping[str, Mapping[str, Any]]

    def load(self) -> Config:
        """Read it. Raises ConfigError."""
        return load(self.path, self.environment, self.flags)


def frozen_changes(old: Config, new: Config) -> list[str]:
    """Return the keys that differ and apply only after a restart."""
    found: list[str] = []
    for section in msgspec.structs.fields(Config):
        before, after = getattr(old, section.name), getattr(new, section.name)
        for key in msgspec.structs.fields(section.type):
            live = key.name in LIVE.get(section.name, ())
            if not live and getattr(before, key.name) != getattr(after, key.name):
                found.append(f"{section.encode_name}.{key.encode_name}")
    return found


def load(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Mapping[str, Any]]) -> Config:
    """Read the configuration of one process; ``flags`` holds only what was given. Raises ConfigError."""
    wanted: dict[str, dict[str, Any]] = _file(path) if path else {}
    for name, value in environment.items():
        section, double, key = name.removeprefix("TAILRACE_").lower().partition("__")
        if double and name.startswith("TAILRACE_"):
            wanted.setdefault(section, {})[key] = _of_text(section, key, value, f"the environment ({name})")
    for section, keys in flags.items():
        wanted.setdefault(section, {}).update(keys)
    for section, keys in wanted.items():
        for key in keys:
            _known(section, key, path or "the settings")
    _known_below(wanted.get("collect", {}), path or "the settings")
    try:
        config = msgspec.convert(wanted, Config)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        where = where.rstrip("`")
        raise ConfigError(f"{where}: {what}", cure="docs/reference/configuration.md has every key.") from error
    _values(config)
    return config


def _values(config: Config) -> None:
    """Raise ConfigError for a value that has the right type and no meaning."""
    address(config.server.listen)
    seconds(config.store.retain)
    size(config.store.retain_bytes)
    size(config.quota.bytes_per_s)
    size(config.quota.bytes_per_s_total)
    config.redis.check()
    if size(config.agent.spool) < SPOOL_BYTES_MIN:
        raise ConfigError(
            f"agent.spool: {config.agent.spool!r} is too small", cure=f"It has {SPOOL_BYTES_MIN} bytes at least."
        )
    if config.elastic.urls:
        _ = config.elastic.access
    if not _INDEX.fullmatch(config.elastic.index):
        raise ConfigError(
            f"elastic.index: {config.elastic.index!r} is not the name of an index",
            cure="Lower-case letters, digits, - and _, beginning with a letter.",
        )
    _ = config.outputs
    if config.collect.start not in ("", "beginning", "end"):
        size(config.collect.start)
        config.collect.start = config.collect.start.upper().replace(" ", "")
    config.etcd.check()
    if not ETCD_GONE_S_MIN <= seconds(config.etcd.gone_after) <= ETCD_GONE_S_MAX:
        raise ConfigError(
            f"etcd.gone_after: {config.etcd.gone_after!r}",
            cure=f"It is {ETCD_GONE_S_MIN} to {ETCD_GONE_S_MAX} seconds, like 60s.",
        )
    entries.check(config.collect.entries, config.collect.rules, config.collect.redact)


def read(path: str) -> bytes:
    """Return the content of the file. Raises OSError, and ConfigError when it is too large."""
    with open(path, "rb") as file:
        content = file.read(CONFIG_BYTES_MAX + 1)
    if len(content) > CONFIG_BYTES_MAX:
        raise ConfigError(f"{path} is too large", cure=f"At most {CONFIG_BYTES_MAX} bytes: write globs.")
    return content


def _file(path: str) -> dict[str, dict[str, Any]]:
    try:
        parsed = tomllib.loads(read(path).decode())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", cure="Check --config.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", cure="See docs/reference/configuration.md.") from error
    for section, keys in parsed.items():
        if not isinstance(keys, dict):
            raise ConfigError(f"{path}: {section!r} is not a section", cure=f"Write it as [{section}] and keys below.")
    return parsed


def _known(section: str, key: str, where: str) -> type[Any]:
    sections = {field.encode_name: field.type for field in msgspec.structs.fields(Config)}
    if section not in sections:
        raise ConfigError(f"{where}: there is no section {section!r}", cure=suggestion(section, sections))
    keys = {field.encode_name: field.type for field in msgspec.structs.fields(sections[section])}
    if key not in keys:
        raise ConfigError(f"{where}: there is no key {section}.{key}", cure=suggestion(key, keys))
    return keys[key]


def _known_below(collect: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError for an unknown key of an entry or a rule."""
    listed = collect.get("entries", [])
    named = collect.get("rules", {})
    tables = [(f"collect.entries[{n}]", one, Wish) for n, one in enumerate(listed if isinstance(listed, list) else [])]
    tables += [(f"collect.rules.{name}", one, Rule) for name, one in (named.items() if isinstance(named, dict) else [])]
    for place, table, kind in tables:
        try:
            entries.known(table, kind, place)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error.message}", cure=error.cure) from error


def _of_text(section: str, key: str, text: str, where: str) -> Any:
    """Read one value from the environment; lists are separated by commas."""
    kind = _known(section, key, where)
    plain = getattr(kind, "__origin__", kind)
    if (section, key) in (("collect", "entries"), ("collect", "rules")):
        raise ConfigError(f"{where}: entries and rules stand in the file only", cure="Write [[collect.entries]] there.")
    if plain is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise ConfigError(f"{where}: {text!r} is neither true nor false", cure="Write true or false.")
        return text.lower() in ("true", "1")
    if plain is int:
        if not text.strip().isdecimal():
            raise ConfigError(f"{where}: {text!r} is not a number", cure="Write digits, like 100.")
        return int(text)
    if plain is dict or getattr(plain, "__origin__", None) is dict:
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        if not all(equals and name.strip() and value.strip() for name, equals, value in pairs):
            raise ConfigError(f"{where}: {text!r} are no names", cure="Write a=b, or a=b,c=d.")
        return {name.strip(): value.strip() for name, _, value in pairs}
    return text if plain is str else [part.strip() for part in text.split(",") if part.strip()]


def address(listen: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` (``[::1]:7800`` for IPv6). Raises ConfigError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"{listen!r} is not an address to listen on", cure="Write HOST:PORT, like 127.0.0.1:7800.")
    return host.strip("[]"), int(port)


def size(text: str) -> int:
    """Return bytes of ``10 GB``. Raises ConfigError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    if not found or found[2] not in _SIZES:
        raise ConfigError(
            f"{text!r} is not a size", cure="Write bytes, or a number and kB MB GB TB or KiB MiB GiB TiB."
        )
    return int(float(found[1]) * _SIZES[found[2]])


def seconds(text: str) -> float:
    """Return the seconds of ``30d``. Raises ConfigError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip().lower())
    if not found:
        raise ConfigError(f"{text!r} is not a span of time", cure="Write a number and s, m, h, d or w, like 30d.")
    return float(found[1]) * _SPANS_S[found[2]]


def toml(config: Config) -> str:
    """Return the effective configuration as TOML, each key with its description."""
    lines: list[str] = []
    for section in msgspec.structs.fields(Config):
        lines.append(f"[{section.encode_name}]")
        values = getattr(config, section.name)
        for key in msgspec.structs.fields(section.type):
            value = getattr(values, key.name)
            if key.encode_name not in ("entries", "rules"):
                lines.append(f"# {describe(key.type)}")
                lines.append(f"{_key(key.encode_name)} = {_value(value)}")
        lines.append("")
    for wish in config.collect.entries:
        lines += ["[[collect.entries]]", *_table(wish), ""]
    for name, rule in config.collect.rules.items():
        lines += [f"[collect.rules.{_key(name)}]", *_table(rule), ""]
    return "\n".join(lines)


def _table(values: Struct) -> list[str]:
    """Return the lines of what was given of an entry or a rule."""
    given = msgspec.to_builtins(values)
    defaults = {field.encode_name: field.default for field in msgspec.structs.fields(type(values))}
    return [f"{_key(key)} = {_value(value)}" for key, value in given.items() if value != defaults[key]]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_value(one)}' for key, one in value.items() if one != '')} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else _value(name)


def describe(kind: Any) -> str:
    """Return the sentence that an annotated type carries."""
    return next((meta.description or "" for meta in getattr(kind, "__metadata__", ()) if isinstance(meta, Meta)), "")
