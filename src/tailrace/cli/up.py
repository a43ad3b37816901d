"""``tailrace up``: follow, store, search and serve in one process."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from tailrace import config
from tailrace.cli import serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take what to follow, from where, and what ``serve`` takes."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH|GLOB",
        help="what to follow, - for standard input; default: this machine's logs",
    )
    parser.add_argument("--start", metavar="WHERE", help="beginning, end, or a size from the end, like 10MB")
    parser.add_argument("--no-discover", action="store_true", help="do not look for the logs of this machine")
    parser.add_argument("--demo", action="store_true", help="write and follow the logs of three invented services")
    serve.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run until told to stop."""
    collect = {
        "paths": [path if path == "-" else str(Path(path).absolute()) for path in args.paths] or None,
        "start": args.start,
        "discover": False if args.no_discover else None,
        "demo": args.demo or None,
    }
    given = serve.flags(args)
    given["collect"] = {key: value for key, value in collect.items() if value is not None}
    wanted = config.Settings(args.config, os.environ, given)
    from tailrace import server

    server.run(wanted, collecting=True)
    return 0
