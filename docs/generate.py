"""Write docs/reference/*.md from the program and its tests. `make docs` runs it, a test finds stale pages.

The tables are made here and not by argparse, whose layout differs between versions of Python.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import fields

from tailrace import config
from tailrace.cli import COMMANDS
from tailrace.collect.entries import Rule, Wish
from tailrace.openapi import document
from tailrace.server import CALLS

REFERENCE = Path(__file__).parent / "reference"

_CLI = """# Command line

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted. `tailrace COMMAND --help` says the same.
"""
_API = """# HTTP API

The whole description, with every answer, is at `/openapi.json`; `python -m tailrace.openapi` prints it. Errors are
`application/problem+json`: `detail` says what is wrong, `cure` what helps, `position` where in the query.
"""
_CONFIGURATION = """# Configuration

One TOML file (`--config`); every key but entries and rules also as `TAILRACE_SECTION__KEY` in the environment. Flags
win over the environment, the environment over the file. Unknown keys are errors. `tailrace check` prints what is in
effect and which files each entry finds. [Choosing what is followed](../guide/configuration.md) has examples.
The defaults:

"""


def cli() -> str:
    """Return the page of the commands."""
    return "\n".join([_CLI, *(line for name, summary in COMMANDS.items() for line in _command(name, summary))])


def _command(name: str, summary: str) -> Iterator[str]:
    parser = argparse.ArgumentParser(prog=f"tailrace {name}", add_help=False)
    importlib.import_module(f"tailrace.cli.{name}").add_arguments(parser)
    actions = parser._actions
    yield f"## tailrace {name}\n"
    yield f"{summary[0].upper()}{summary[1:]}.{f' {parser.epilog}' if parser.epilog else ''}\n"
    if actions:
        yield "| argument | meaning |\n|---|---|"
        yield from (f"| `{_cell(_shown(action))}` | {_cell(action.help or '')} |" for action in actions)
        yield ""


def _shown(action: argparse.Action) -> str:
    """Return an argument as it is typed."""
    choices = "|".join(map(str, action.choices)) if action.choices else None
    value = choices or action.metavar or action.dest.upper()
    if not action.option_strings:
        shown = f"{choices or action.metavar or action.dest}"
        return f"[{shown} ...]" if action.nargs == "*" else f"[{shown}]" if action.nargs == "?" else shown
    return action.option_strings[-1] if action.nargs == 0 else f"{action.option_strings[-1]} {value}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def api() -> str:
    """Return the page of the calls."""
    parts = [_API]
    for path, operations in document(CALLS)["paths"].items():
        for method, operation in operations.items():
            parts.append("\n".join(_call(method.upper(), path, operation)))
    return "\n".join(parts)


def _call(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"## {method} {path}\n"
    yield f"{operation['summary']}.\n"
    if "requestBody" in operation:
        yield f"Takes {_media(operation['requestBody'])}.\n"
    yield f"Answers with {_media(operation['responses']['200'])}.\n"
    named = [one for one in operation.get("parameters", ()) if one.get("style") != "form"]
    if named:
        yield "| parameter | meaning | default |\n|---|---|---|"
        yield from (_parameter(one) for one in named)
        yield ""


def _media(part: dict[str, Any]) -> str:
    return ", ".join(f"`{media}`" for media in part["content"])


def _parameter(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    kinds = [schema, *schema.get("anyOf", ())]
    meaning = parameter["description"] or next((kind["description"] for kind in kinds if "description" in kind), "")
    choices = next((kind["enum"] for kind in kinds if "enum" in kind), ())
    if choices:
        meaning += " One of " + ", ".join(f"`{choice}`" for choice in choices) + "."
    default = "required" if parameter.get("required") else schema.get("default", "")
    return f"| `{parameter['name']}` | {_cell(meaning)} | {default} |"


def configuration() -> str:
    """Return the page of the settings."""
    live = ", ".join(f"`{key.encode_name}`" for key in fields(config.Collect) if key.name in config.LIVE["collect"])
    parts = [f"{_CONFIGURATION}```toml\n{config.toml(config.Config()).strip()}\n```"]
    parts.append(
        f"While the program runs, changes of these keys of `collect` apply: {live}. The others need a restart."
    )
    parts += ["## [[collect.entries]]", _keys(Wish), "## [collect.rules.NAME]", _keys(Rule)]
    return "\n\n".join(parts) + "\n"


def _keys(kind: type[Struct]) -> str:
    rows = [(key.encode_name, config.describe(key.type), " Required." * key.required) for key in fields(kind)]
    return "\n".join(["| key | meaning |\n|---|---|", *(f"| `{n}` | {_cell(text)}{must} |" for n, text, must in rows)])


def collection() -> str:
    """Return the page of the scenarios."""
    spec = importlib.util.spec_from_file_location("scenarios", Path(__file__).with_name("scenarios.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module.page()


PAGES = {"cli.md": cli, "api.md": api, "configuration.md": configuration, "collection.md": collection}


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
