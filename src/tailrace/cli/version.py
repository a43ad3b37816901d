"""``tailrace version``."""

from __future__ import annotations

import argparse
import platform

import tailrace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take nothing."""


def run(args: argparse.Namespace) -> int:
    """Print the version of Tailrace and of Python."""
    print(f"tailrace {tailrace.__version__} (Python {platform.python_version()})")
    return 0
