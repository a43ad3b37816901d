"""``tailrace token``: who may use a server that others can reach."""

from __future__ import annotations

import argparse
import os

from tailrace import config
from tailrace.access.tokens import Tokens


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take what to do, a name, and where the server keeps its data."""
    parser.add_argument("action", choices=("add", "list", "remove"), help="what to do")
    parser.add_argument("name", nargs="?", help="whose token it is")
    parser.add_argument("--data", metavar="DIR", help="the server's data directory")
    parser.add_argument("--config", metavar="FILE", help="the server's configuration")
    parser.epilog = (
        "A server with at least one token asks everybody for one. It is printed once; only its hash is kept."
    )


def run(args: argparse.Namespace) -> int:
    """Do it; a running server knows within a second."""
    flags = {"data": {"directory": args.data}} if args.data else {}
    tokens = Tokens(config.load(args.config, os.environ, flags).directory)
    if args.action == "list":
        print("\n".join(tokens.names()) or "no tokens")
        return 0
    if not args.name:
        raise config.ConfigError("whose token?", cure=f"tailrace token {args.action} NAME")
    if args.action == "add":
        print(tokens.add(args.name))
    else:
        tokens.remove(args.name)
    return 0
