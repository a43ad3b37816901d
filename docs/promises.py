"""The page of what the live tail promises, from the markers of the tests that show it.

A test carries ``@pytest.mark.promise(number)``; the promises stand here, in their order. The markers are read from the
source of the tests; nothing is run.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"

_HEAD = """# Live tail: what is promised, and how it is shown

Each promise has its test, with a real server, real sockets and, where a person looks at it, a real browser. Run them
all with

    make test ARGS="tests -m promise"

The second one is about a million lines; the suite has time for a tenth of it. All of it:

    TAIL_LINES=1000000 make test ARGS="tests/apps/tail/test_resume.py"

How fast it is, and what thousands of viewers cost: `make bench ARGS=tail`.

| | promise | shown by |
|---|---|---|
"""
PROMISES = {
    1: "A tail shows exactly the records that a search over the same cursors finds, byte for byte, and can prove it: "
    "`ping` and `GET /api/v1/verify` have the same count and digest",
    2: "Who comes back with the newest checkpoint has missed nothing and sees nothing twice, over cut connections and "
    "`kill -9` of the server, on each way out",
    3: "History flows into live in one stream, however slow it is and whatever arrives meanwhile",
    4: "What is not shown is a row: how many, why, of which levels, which range; and it can be fetched",
    5: "Errors, warnings and rare patterns are never sampled away; what was shown of how many is said for each level",
    6: "A late line comes at once, and says both times: its own and when it arrived",
    7: "A pause counts what comes, by level, and who goes on from it misses nothing",
    8: "A query is changed while live, for what is already on the screen as well",
    9: "`grep -C` in a live stream: each hit has its neighbours of the same stream, those that come later too",
    10: "Lines of one pattern are counted together, and a new pattern is marked",
    11: "Counts by level, value and pattern come with the rows, without asking the store, and are those of a search",
    12: "Any window of the past is played again at its own speed or faster, and goes on into live",
    13: "How long a line takes from the file to the screen is shown, and is short",
    14: "A view survives bursts, long lines and hours",
    15: "Hundreds of tails share one reading of the log, and one that is stuck holds nobody up",
    16: "No tail ends because of its age",
    17: "It works behind a proxy with its defaults, and in many tabs",
    18: "A link to a moment or a stretch shows everybody the same rows",
    19: "`curl`, the command and the search give the same bytes",
    20: "Records of one time have one order everywhere: search, tail, context, export, page two",
}


def shown() -> dict[int, list[tuple[str, Path]]]:
    """Return the tests of each promise, by name and file."""
    found: dict[int, list[tuple[str, Path]]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for number, name in _marked(path):
            found[number].append((name, path))
    return found


def _marked(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text("utf-8")
    if "mark.promise" not in text:
        return
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.promise":
                    yield from ((ast.literal_eval(number), node.name) for number in mark.args)


def page() -> str:
    """Return the page."""
    tests = shown()
    rows = [f"| {number} | {promise} | {_tests(tests[number])} |\n" for number, promise in PROMISES.items()]
    return "".join([_HEAD, *rows])


def _tests(tests: list[tuple[str, Path]]) -> str:
    links = [
        f"[{name.removeprefix('test_').replace('_', ' ')}](../../{path.relative_to(ROOT)})" for name, path in tests
    ]
    return "; ".join(links) or "not yet"
