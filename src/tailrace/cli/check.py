"""``tailrace check``: is the configuration good, and what does it say with everything taken together?"""

from __future__ import annotations

import argparse
import os

from tailrace import config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the file to look at."""
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="a TOML file; without it, defaults and environment")


def run(args: argparse.Namespace) -> int:
    """Print the effective configuration; a fault is a ConfigError (exit code 2)."""
    print(config.toml(config.load(args.config, os.environ, {})))
    return 0
