"""The page of the collection's scenarios, from the markers of the tests that show them.

A test carries ``@pytest.mark.scenario(id, what happens, others=...)``, and ``xfail`` with its reason while the promise
is not kept yet. They are read from the source of the tests; nothing is run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "apps"

_HEAD = """# Collection: what is promised, and how it is shown

Every line that was whole on disk while Tailrace could see it is stored once, in the order of its file, whatever was
killed, rotated, truncated, full, slow or unplugged in between; what could not be kept is counted and shown. Memory and
descriptors stay bounded.

Each row is a test with real processes and real files: an application writes lines that carry a number and a checksum, a
ledger remembers each whole one, and what the search gives is compared with it: nothing lost, doubled, torn or out of
order. With `tailrace agent`, its server and the proxy that misbehaves between them are real, too. Crash scenarios (D02,
D05, D06, E24) kill each process at random moments, again and again; `SEED=7` repeats a run, `KILLS=50` makes more.
Where the power fails, an ext4 of
its own is shut down without its log, so that nothing is left but what was synced.

The logs lie on the file system of the temporary directory. On ext4 the inode of a deleted file is given to the next one
at once; scenarios that need that make sure of it, and are skipped where it never happens (tmpfs). Those with a full, a
broken or another disk mount one of their own, as root. Run all of them with

    make test ARGS="tests/apps -m scenario"

*kept*: the test passes, in every build. *not yet*: it is known to fail, and why. The last column is about other agents,
from their public issues, documentation and source.

"""
_GROUPS = {
    "A": "Discovery and where reading begins",
    "B": "Rotation",
    "C": "Lines, events, encodings",
    "D": "Restarts, crashes, checkpoints",
    "E": "The server is away, slow, or refuses",
    "F": "Disks",
    "G": "Configuration",
    "I": "Real applications",
}
_ISSUES = {
    "beats": "elastic/beats",
    "core": "open-telemetry/opentelemetry-collector",
    "fluent-bit": "fluent/fluent-bit",
    "fluentd": "fluent/fluentd",
    "loki": "grafana/loki",
    "otel": "open-telemetry/opentelemetry-collector-contrib",
    "rsyslog": "rsyslog/rsyslog",
    "vector": "vectordotdev/vector",
}
_LEFT_OUT = {
    "A14": "there is no setting that ignores old files: every file that a glob matches is read",
    "C23": "header lines (`#Fields:`) are records like others; no later line depends on them",
    "E06": "a block is taken as a whole or not at all; what is refused in it is found by halving (E10)",
    "E17 to E22": "there is no Kafka",
    "F03": "nothing is ever dropped to make room, so there is no such policy to count",
    "F04": "shown at every system call by the simulation, `tests/sim/test_bus_sim.py`",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row; ``why`` is empty when the promise is kept."""

    name: str
    happens: str
    others: str
    why: str
    test: str
    path: Path


def scenarios() -> list[Scenario]:
    """Return all scenarios of all tests, by name."""
    found = [one for path in sorted(TESTS.rglob("test_*.py")) for one in _scenarios(path)]
    return sorted(found, key=lambda one: (one.name[0], int(re.findall(r"\d+", one.name)[0]), one.name))


def _scenarios(path: Path) -> Iterator[Scenario]:
    for node in ast.parse(path.read_text("utf-8")).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        marks = [mark for mark in node.decorator_list if isinstance(mark, ast.Call)]
        named = [(ast.unparse(mark.func).removeprefix("pytest.mark."), mark) for mark in marks]
        why = next((_words(mark)["reason"] for name, mark in named if name == "xfail"), "")
        for name, mark in named:
            if name == "scenario":
                which, happens = (ast.literal_eval(argument) for argument in mark.args)
                yield Scenario(which, happens, _words(mark).get("others", ""), why, node.name, path)


def _words(mark: ast.Call) -> dict[str, str]:
    return {word.arg: ast.literal_eval(word.value) for word in mark.keywords if word.arg}


def page() -> str:
    """Return the page."""
    every = scenarios()
    lines = [_HEAD]
    for letter, title in _GROUPS.items():
        rows = [one for one in every if one.name.startswith(letter)]
        if rows:
            lines += [f"## {title}\n", "| | what happens | result | other agents |", "|---|---|---|---|"]
            lines += [_row(one) for one in rows]
            lines.append("")
    have = {one.name for one in every}
    lines += ["## Left out\n", "| | why |", "|---|---|"]
    lines += [f"| {name} | {why} |" for name, why in _LEFT_OUT.items() if name not in have]
    return "\n".join([*lines, ""])


def _row(one: Scenario) -> str:
    says = one.test.removeprefix("test_").replace("_", " ")
    result = f"not yet: {one.why}" if one.why else f"kept: [{says}](../../{one.path.relative_to(ROOT)})"
    return f"| {one.name} | {_cell(one.happens)} | {_cell(result)} | {_linked(_cell(one.others))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _linked(text: str) -> str:
    """Make links of issue numbers like ``beats#1341``."""

    def link(found: re.Match[str]) -> str:
        return f"[{found[0]}](https://github.com/{_ISSUES[found[1]]}/issues/{found[2]})"

    return re.sub(rf"\b({'|'.join(_ISSUES)})#(\d+)", link, text)
