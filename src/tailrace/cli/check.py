"""``tailrace check``: validate the configuration, print what is in effect, and explain which files each entry finds.

The configuration goes to stdout and is TOML; what is said about the entries stands in it as comments, so that the
output as a whole can be used as a file. Warnings go to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from tailrace import config
from tailrace.cli.terminal import escape
from tailrace.collect.entries import Finds, Wish, entry_of, look
from tailrace.limits import CHECK_FILES_SHOWN
from tailrace.sources.entry import Entry
from tailrace.sources.globs import Fence
from tailrace.text import bytes_text, count_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the file to look at."""
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="a TOML file; without it, defaults and environment")


def run(args: argparse.Namespace) -> int:
    """Print the effective configuration and what it finds; a fault is a ConfigError (exit code 2)."""
    wanted = config.load(args.config, os.environ, {})
    print(config.toml(wanted))
    collect = wanted.collect
    wishes = [*collect.entries, *(Wish(path, start=collect.start) for path in collect.paths if path != "-")]
    entries = [entry_of(wish, collect.rules, exclude=collect.exclude, redact=collect.redact) for wish in wishes]
    if not entries and collect.discover:
        print("# nothing is named: `tailrace up` looks for the logs of this machine")
    fence = Fence([str(wanted.directory / part) for part in ("bus", "store")], collect.allow)
    for entry, finds, warning in _explained(entries, look(entries, fence)):
        for line in _lines(entry, finds):
            print(f"# {escape(line)}")
        if warning:
            print(f"warning: {escape(f'{entry.path}: {warning}')}", file=sys.stderr)
    return 0


def _explained(entries: Sequence[Entry], finds: Sequence[Finds]) -> Iterator[tuple[Entry, Finds, str]]:
    """Yield each entry, what it finds, and what may not be meant so."""
    for entry, found in zip(entries, finds, strict=True):
        counts = found.overlaps.items()
        shared = [f"{count} of its files belong to {entries[place].path}, which comes first" for place, count in counts]
        if not found.files and not shared:
            shared = ["finds no file now"]
        yield entry, found, "; ".join(shared)


def _lines(entry: Entry, found: Finds) -> Iterator[str]:
    size = bytes_text(sum(size for _, size in found.files))
    least = "at least " if found.more else ""
    yield f"{entry.path}: {least}{count_text(len(found.files))} file{'' if len(found.files) == 1 else 's'}, {size}"
    for path, size in found.files[:CHECK_FILES_SHOWN]:
        yield f"  {path}  ({bytes_text(size)})"
    if len(found.files) > CHECK_FILES_SHOWN:
        yield f"  and {count_text(len(found.files) - CHECK_FILES_SHOWN)} more"
    masked = [rule if isinstance(rule, str) else rule.name for rule in entry.steps.redact]
    yield f"  redact: {', '.join(masked) or 'off, what is written is what is stored'}"
    reasons = Counter(why for _, why in found.left_out)
    for why, count in reasons.most_common():
        first = next(path for path, reason in found.left_out if reason == why)
        yield f"  left out, {why}: {first}{f' and {count_text(count - 1)} more' if count > 1 else ''}"
