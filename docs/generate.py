"""Write docs/reference/*.md from the program and its tests.

`make docs` runs it, a test finds stale ones. The tables are made here and not by argparse, whose layout differs between
versions of Python.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import fields

from tailrace import config
from tailrace.cli import COMMANDS
from tailrace.collect.entries import Rule, Wish
from tailrace.openapi import document
from tailrace.pipeline.format import WORDS
from tailrace.pipeline.grok import GROK
from tailrace.pipeline.layouts import LAYOUTS
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

_LAYOUTS = """# Layouts

How the lines of a file are written is found out from its first lines, for each file by itself, and found out again when
it changes. `format` of an entry says it instead: the name of a layout below, one of WORDS, or a
[pattern](#patterns). The message is the whole line; time, level and fields are read beside it. What cannot be read is
kept whole as the message.

`plain` reads nothing from the lines. `cri` and `docker` are what container runtimes write around a line: it is taken
off, parts of long lines are joined, `stdout` or `stderr` becomes the field `stream`, and what is inside is understood
like any other line. A line without it gets the field `corrupt`; a part whose end never came gets `partial`, and an end
that stands in the next file after a rotation is a record of its own. `w3c` is what IIS writes: the newest `#Fields:`
line names the columns, and after a restart in the middle of a file that of its first KiB.

| layout | what | fields | a line of it |
|---|---|---|---|
"""
_TIMES = """
What a request asked for is `url`, not `path`: `path` is the file that the line stands in. Fields that are missing,
empty or `-` are left out.

## Times

Fractions of one to nine digits behind a point or a comma; zones `Z`, `+08`, `+0800`, `+08:00`, ` UTC`, ` GMT`.
`Y y m d H M S f` are digits, `e` is a digit or a space, `bbb` an English month, `?` is `T`, `t`, `_`, `-` or a space,
and `*` is any byte.

RULES
Forms:

"""
_OPEN = {
    "without a zone": "in the zone of the entry (`zone`, an IANA name), else of the machine; in a container's line the "
    "time of the envelope is taken, unless the entry names a zone",
    "without a year": "in the year that puts it closest to when it was observed, at most a day behind that: a line of "
    "December that is read in January is of last year",
    "without a date": "on the day that puts it closest before when it was observed, at most an hour behind that",
    "in the hour that a clock shows twice": "the later one when that is not behind when it was observed, else the "
    "earlier one",
    "in the hour that a clock leaves out": "as if the clock had not been put forward",
    "no time at all": "the time of the line before it; without one, when it was observed",
}
_PATTERNS = """
## Patterns

A pattern is [RE2](https://github.com/google/re2/wiki/Syntax) with named groups, `(?P<name>...)` or `(?<name>...)`, and
grok's `%{NAME:field:int}`. The groups become fields, with `int` and `float` as numbers. Groups called `time`, `level`,
`message` and `trace_id` are the record's own. It is matched anywhere in a line; `^` and `$` tie it.

    format = '^%{IP:client} %{WORD:method} %{URIPATHPARAM:url} %{NUMBER:duration:float}$'

| name | takes, for example |
|---|---|
"""


def layouts() -> str:
    """Return the page of layouts, times and patterns."""
    words = ", ".join(f"`{word}`" for word in WORDS)
    rows = []
    for layout in LAYOUTS:
        names = dict.fromkeys(name.split(":")[0] for template in layout.templates for name in template.names)
        fields = " ".join(f"`{name}`" for name in names if name != "level")
        rows.append(f"| `{layout.name}` | {_cell(layout.about)} | {fields} | {_code(layout.sample)} |")
    forms = dict.fromkeys(_code(layout.form.shown) for layout in LAYOUTS if layout.form is not None)
    rules = "\n".join(f"| {what} | {meant} |" for what, meant in _OPEN.items())
    names = [f"| `{name}` | {_code(example)} |" for name, (_, example) in GROK.items()]
    return "".join(
        [
            _LAYOUTS.replace("WORDS", words),
            *(f"{row}\n" for row in rows),
            _TIMES.replace("RULES", f"| a time | is read as |\n|---|---|\n{rules}\n"),
            *(f"- {form}\n" for form in forms),
            _PATTERNS,
            *(f"{name}\n" for name in names),
        ]
    )


def _code(text: str) -> str:
    """Return a text between marks that it does not hold, with what does not print shown."""
    mark = "``" if "`" in text else "`"
    shown = _cell(text.replace("\x1b", "\\x1b"))
    return f"{mark}{shown}{mark}"


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
    parts, described = [_API], document(CALLS)
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            parts.append("\n".join(_call(method.upper(), path, operation, described["components"]["schemas"])))
    return "\n".join(parts)


def _call(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    yield f"## {method} {path}\n"
    yield f"{operation['summary']}.\n"
    if "requestBody" in operation:
        yield f"Takes {_media(operation['requestBody'])}.\n"
    answers = operation["responses"]
    if "101" in answers:
        events = ", ".join(f"`{event}`" for event in answers["101"]["x-events"])
        yield f"Becomes a WebSocket, whose messages are JSON: it says {events}, and hears:\n"
        said = schemas[answers["101"]["x-messages"]["$ref"].rpartition("/")[2]]["properties"]
        yield "| in a message | meaning |\n|---|---|"
        yield from (f"| `{name}` | {_cell(schema['description'])} |" for name, schema in said.items())
        yield ""
    else:
        yield f"Answers with {_media(answers['200'])}.\n"
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


def _page_of(name: str) -> Callable[[], str]:
    """Return what makes the page of a module beside this one, which reads the tests."""

    def page() -> str:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where dataclasses look for it
        spec.loader.exec_module(module)
        return module.page()

    return page


PAGES = {
    "cli.md": cli,
    "api.md": api,
    "configuration.md": configuration,
    "collection.md": _page_of("scenarios"),
    "live-tail.md": _page_of("promises"),
    "layouts.md": layouts,
}


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
