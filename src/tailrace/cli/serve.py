"""``tailrace serve``: the server alone; it takes pushes, and answers search and tail."""

from __future__ import annotations

import argparse
import os
from typing import Any

from tailrace import config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where to keep data, where to listen, and the configuration."""
    parser.add_argument("--data", metavar="DIR", help="data directory (default: in $XDG_DATA_HOME)")
    parser.add_argument("--listen", metavar="HOST:PORT", help="default: 127.0.0.1:7800")
    parser.add_argument("--config", metavar="FILE", help="a TOML file; `tailrace check` prints every key")
    parser.add_argument("--insecure", action="store_true", help="serve everybody on that address, without a token")


def flags(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what was given, by section and key."""
    given = {
        "data": {"directory": args.data},
        "server": {"listen": args.listen, "insecure": args.insecure or None},
    }
    return {name: {key: value for key, value in keys.items() if value is not None} for name, keys in given.items()}


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    wanted = config.Settings(args.config, os.environ, flags(args))
    from tailrace import server

    server.run(wanted, collecting=False)
    return 0
