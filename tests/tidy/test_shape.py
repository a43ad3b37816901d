"""The shape of the code is a fact, so it is tested."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tailrace"
SDK = ROOT / "sdk" / "src" / "tailrace_sdk"
SOURCES = sorted([*SOURCE.rglob("*.py"), *SDK.rglob("*.py")])
FILE_LINES_MAX = 500
PAGE = "limits.py"
"""One page with all bounds, which is looked things up in rather than read."""
FUNCTION_LINES_MAX = 70
PROGRAMS = ("agent.py", "server.py", "indexer.py")
PROGRAM_LINES_MAX = 200
BANNED_NAMES = {"utils", "helpers", "common", "core", "services", "managers", "misc", "base"}

TESTS = ROOT / "tests"
TESTED_ELSEWHERE = {
    # Wiring, which only a whole process can show.
    "agent.py": "apps/test_follow.py",
    "collect/agents.py": "apps/cluster/test_agents.py",
    "collect/words.py": "collect/test_http.py",
    "following.py": "apps/test_entries.py",
    "lines.py": "sources/test_file.py",
    "sections.py": "test_config.py",
    "topics/words.py": "topics/test_http.py",
    "http.py": "server/test_http.py",
    "memory.py": "apps/agent/test_life.py",
    "problem.py": "server/test_http.py",
    "process.py": "server/test_process.py",
    "machine.py": "server/test_process.py",
    "cluster.py": "apps/cluster/test_two_servers.py",
    "store/empty.py": "apps/cluster/test_two_servers.py",
    "tail/start.py": "tail/test_hub.py",
    "indexing/counts.py": "indexing/test_indexing.py",
    "indexing/dead.py": "indexing/test_indexing.py",
    "indexing/group.py": "indexing/test_indexing.py",
    "listener.py": "server/test_process.py",
    "server.py": "server/test_process.py",
    "ship/output.py": "ship/test_shipping.py",
    "bus/topic.py": "contract/test_bus.py",
    "agent_server.py": "apps/agent/test_asked.py",
    "asked.py": "apps/agent/test_asked.py",
    "collect/flight.py": "apps/test_follow.py",
    "sources/entry.py": "sources/test_file.py",
    "sources/known.py": "sources/test_twins.py",
    # Commands, as a person runs them.
    "cli/agent.py": "apps/agent/test_life.py",
    "cli/agents.py": "apps/cluster/test_agents.py",
    "cli/index.py": "apps/cluster/test_index.py",
    "cli/kafka.py": "topics/test_http.py",
    "cli/__main__.py": "cli/test_cli.py",
    "cli/check.py": "cli/test_cli.py",
    "cli/completion.py": "cli/test_cli.py",
    "cli/redact.py": "cli/test_cli.py",
    "cli/replay.py": "apps/tail/test_replay.py",
    "cli/search.py": "cli/test_cli.py",
    "cli/serve.py": "server/test_process.py",
    "cli/status.py": "cli/test_cli.py",
    "cli/streams.py": "cli/test_cli.py",
    "cli/tail.py": "apps/tail/test_command.py",
    "cli/token.py": "access/test_http.py",
    "cli/ui.py": "apps/tail/test_ui.py",
    "cli/up.py": "apps/test_up.py",
    "cli/version.py": "cli/test_cli.py",
    # Parts of one machine, which are tested as that.
    "pipeline/parse_text.py": "pipeline/test_pipeline.py",
    "query/found.py": "tail/test_evaluate.py",
    "query/grammar.py": "query/test_parse.py",
    "query/plan.py": "query/test_filters.py",
    "query/query.py": "query/test_parse.py",
    "store/counts.py": "store/test_search.py",
    "store/elastic/groups.py": "contract/test_clusters.py",
    "store/words.py": "store/test_http.py",
    "tail/catchup.py": "tail/test_join.py",
    "tail/group.py": "tail/test_hub.py",
    "tail/http.py": "apps/tail/test_sse.py",
    "tail/moving.py": "apps/tail/test_workers.py",
    "tail/poll.py": "apps/tail/test_sse.py",
    "tail/sse.py": "apps/tail/test_sse.py",
    "tail/viewer.py": "tail/test_hub.py",
    "tail/worker.py": "apps/tail/test_workers.py",
    "tail/workers.py": "apps/tail/test_workers.py",
    "tail/websocket.py": "apps/tail/test_websocket.py",
    "tail/words.py": "apps/tail/test_sse.py",
}


SDK_TESTED_ELSEWHERE = {
    "limits.py": "test_encode.py",
    "sink.py": "test_bad_disk.py",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(SDK.parent if SDK in path.parents else SOURCE))


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != PAGE], ids=name_of)
def test_a_file_is_short_enough_to_be_read(path):
    # Every bound of the system stands on one page, whatever its length.
    assert path == SOURCE / "limits.py" or len(path.read_text().splitlines()) <= FILE_LINES_MAX


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_only_wiring(name):
    path = SOURCE / name
    assert not path.exists() or len(path.read_text().splitlines()) <= PROGRAM_LINES_MAX


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_function_is_short_enough_to_be_understood(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < FUNCTION_LINES_MAX, node.name


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_name_says_what_it_holds(path):
    assert not BANNED_NAMES & {part.removesuffix(".py") for part in Path(name_of(path)).parts}


@pytest.mark.parametrize("path", [path for path in SOURCES if path.read_text().strip()], ids=name_of)
def test_a_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "__init__.py"], ids=name_of)
def test_a_module_has_its_test(path):
    if path.parent == SDK:
        assert (ROOT / "sdk" / "tests" / SDK_TESTED_ELSEWHERE.get(path.name, f"test_{path.name}")).exists()
        return
    name = name_of(path)
    mirror = path.relative_to(SOURCE).with_name(f"test_{path.name}")
    assert (TESTS / TESTED_ELSEWHERE.get(name, str(mirror))).exists()


@pytest.mark.parametrize("name", TESTED_ELSEWHERE)
def test_a_module_that_is_tested_elsewhere_has_no_test_of_its_own(name):
    assert (SOURCE / name).exists()
    assert not (TESTS / Path(name).with_name(f"test_{Path(name).name}")).exists()


def test_a_bound_has_a_name_of_its_own():
    """A second value under the name of a first one would be that of both."""
    names = re.findall(r"^([A-Z][A-Z_0-9]*) =", (SOURCE / "limits.py").read_text(), re.MULTILINE)
    assert [name for name in names if names.count(name) > 1] == []


def test_the_project_says_nothing_of_the_machines_it_was_made_on():
    suspicious = re.compile(r"/work/(main|shared|wt)|/root/|\.pyenv")
    for path in ROOT.rglob("*"):
        if path.suffix in {".py", ".md", ".toml", ".ts", ".svelte", ".json", ".yml", ".sh"} and path != Path(__file__):
            parts = path.relative_to(ROOT).parts
            if not {"node_modules", ".venv", ".git", "page", "dist", ".cache"} & set(parts):
                assert not suspicious.search(path.read_text(errors="replace")), path
