"""The command line: ``tailrace COMMAND``. A file per command; each has ``add_arguments(parser)`` and ``run(args)``.

Only the command that was asked for is imported, so those that talk to a server need nothing but the standard library.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from tailrace.errors import ConfigError, QueryError, TailraceError

COMMANDS = {
    "up": "follow, store, search and serve in one process",
    "serve": "the server alone: takes pushes, search and tail",
    "agent": "follow, and ship to servers, through a spool on this disk",
    "agents": "what agents are to follow, and how they are",
    "index": "bring what lies on Kafka into Elasticsearch or OpenSearch",
    "tail": "watch what matches, live",
    "replay": "watch what happened in a window, at any speed",
    "search": "find records",
    "kafka": "topics of Kafka, and their messages as they are",
    "pipe": "ship standard input, and pass it through unchanged",
    "redact": "show what would be masked in lines, and by which rule",
    "streams": "who is speaking",
    "status": "how the server is",
    "token": "make, list and remove the tokens of a server",
    "check": "validate the configuration and print it",
    "completion": "print the completion script of a shell",
    "version": "print the version",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 gets escapes, not a crash
    try:
        args = _parser(arguments).parse_args(arguments)
        code = _module(args.command).run(args)
        sys.stdout.flush()
    except QueryError as error:
        code = _complain(f"{error.pointed()}\n{error.cure}".rstrip(), 2)
    except ConfigError as error:
        code = _complain(f"tailrace: {error}", 2)
    except TailraceError as error:
        code = _complain(f"tailrace: {error}", 1)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read our output has enough. Nothing is left to flush into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    return code


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser; only the command that is asked for gets its arguments."""
    parser = argparse.ArgumentParser(
        prog="tailrace",
        description="See what is happening now, on every machine, and never lose a line.",
        epilog="tailrace COMMAND --help says more.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_const", const="version", dest="command", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required="--version" not in arguments[:1])
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        if name == asked:
            _module(name).add_arguments(command)
    return parser


def options_of(command: str) -> dict[str, list[str]]:
    """Return the long options of one command, each with the values it chooses from, if it does."""
    parser = argparse.ArgumentParser()
    _module(command).add_arguments(parser)
    options = [(word, action) for action in parser._actions for word in action.option_strings]
    return {word: list(map(str, action.choices or [])) for word, action in options if word.startswith("--")}


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"tailrace.cli.{command}")


def _complain(message: str, code: int) -> int:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    return code
