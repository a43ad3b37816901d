"""What stands in deploy/, read."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tailrace.cli import _parser
from tailrace.config import address

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CONFIG = DEPLOY / "tailrace.toml"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
CHART = DEPLOY / "helm/tailrace"
MANIFEST = DEPLOY / "kubernetes/tailrace.yaml"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
LISTENS = {"serve": ("server", "listen"), "agent": ("agent", "listen"), "index": ("index", "listen")}


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())


def manifests() -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(MANIFEST.read_text()) if one]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in manifests() if one["kind"] == kind}


def settings(text: str | None = None) -> dict[str, Any]:
    return tomllib.loads(CONFIG.read_text() if text is None else text)


def listens(command: str, given: dict[str, Any]) -> int:
    """Return the port at which a command answers that is configured so."""
    section, key = LISTENS[command]
    return address(given[section][key])[1]


def understood(arguments: list[str]) -> Any:
    """Return what the command line makes of a command; one that it does not know ends the test."""
    return _parser(arguments).parse_args(arguments)


def started(unit: Path) -> list[str]:
    """Return the arguments with which a unit starts the program."""
    line = next(line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    program, *arguments = line.removeprefix("ExecStart=").replace("%E", "/etc").replace("%i", "2").split()
    assert program == "/opt/tailrace/bin/tailrace"
    return arguments


def expressions() -> Iterator[str]:
    """Yield what the dashboard and the alerts ask Prometheus."""
    for panel in json.loads((DEPLOY / "grafana/tailrace.json").read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for group in yaml.safe_load((DEPLOY / "grafana/alerts.yaml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def asked_metrics() -> set[str]:
    return {name for one in expressions() for name in re.findall(r"\btailrace_[a-z_]+", one)}
