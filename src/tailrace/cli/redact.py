"""``tailrace redact``: what would be stored of these lines with ``redact`` in the configuration; to try one's rules."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from tailrace.cli.terminal import escape, table, wants_colours
from tailrace.errors import BadInput
from tailrace.limits import DETECT_LINES
from tailrace.lines import Lines, Mask
from tailrace.pipeline import Pipeline
from tailrace.pipeline.redact import Redactor, rules_of
from tailrace.pipeline.redact_rules import GROUPS, RULES
from tailrace.record import Batch, Origin, Stream

_FROM, _TO = "\ue000", "\ue001"
"""Stand around what was masked, until colours do."""
_INVERSE, _DIM, _NORMAL = "\x1b[7m", "\x1b[2m", "\x1b[0m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the rules and the files."""
    parser.add_argument("files", nargs="*", metavar="FILE", help="files to read; without any, standard input")
    parser.add_argument("--use", metavar="NAMES", help="groups and rules, with commas between; without it, all")
    parser.add_argument("--rule", action="append", default=[], metavar="NAME=PATTERN", help="a rule of your own (RE2)")
    parser.add_argument("--keep", default="0,0", metavar="HEAD,TAIL", help="characters that --rule keeps at both ends")
    parser.add_argument("--template", default="", help="what --rule writes instead; {name} is a group of the pattern")
    parser.add_argument("--list", action="store_true", help="print the rules and their groups")


def run(args: argparse.Namespace) -> int:
    """Print the lines as they would be stored, and the number of each rule's finds on standard error."""
    if args.list:
        print(table([["RULE", "GROUP"], *([rule.name, rule.group] for rule in RULES)]))
        return 0
    colours = wants_colours(sys.stdout)
    names = [name.strip() for name in args.use.split(",") if name.strip()] if args.use else [*GROUPS]
    rules = rules_of([*names, *(_own(text, args.keep, args.template) for text in args.rule)])
    redactor = Redactor(rules, marks=(_FROM, _TO) if colours else ("", ""))
    counts: Counter[str] = Counter()
    for name in args.files or [""]:
        pipeline = Pipeline()
        for batch in _batches(pipeline, name):
            _print(redactor.apply(batch, counts), colours)
    sys.stdout.flush()
    for rule, count in counts.most_common():
        print(f"{count:8}  {rule}", file=sys.stderr)
    if not counts:
        print("nothing was found to mask", file=sys.stderr)
    return 0


def _own(text: str, keep: str, template: str) -> Mask:
    name, equals, pattern = text.partition("=")
    head, comma, tail = keep.partition(",")
    if not equals or not comma or not head.strip().isdigit() or not tail.strip().isdigit():
        raise BadInput("this is not a rule", cure="Write --rule NAME=PATTERN and --keep HEAD,TAIL, like --keep 2,2.")
    return Mask(name, pattern, None if template else (int(head), int(tail)), template)


def _batches(pipeline: Pipeline, name: str) -> Iterator[Batch]:
    """Yield a file as the pipeline understands it, some lines at a time, so that a pipe is shown as it comes."""
    try:
        with Path(name).open("rb") if name else sys.stdin.buffer as file:
            stream = Stream.of({"path": str(Path(name).absolute())} if name else {"source": "pipe"})
            while lines := list(islice(file, DETECT_LINES)):
                yield pipeline.process(_lines(lines, stream))
    except OSError as error:
        raise BadInput(f"cannot read {name}: {error.strerror}") from error


def _lines(lines: list[bytes], stream: Stream) -> Lines:
    texts = pa.array([line.rstrip(b"\r\n") for line in lines], pa.binary())
    origin = Origin("preview", 0, len(lines), len(lines))
    return Lines(texts, np.arange(len(lines), dtype=np.int64), stream, 0, origin)


def _print(batch: Batch, colours: bool) -> None:
    for message, fields in zip(batch.array("message").to_pylist(), batch.array("fields").to_pylist(), strict=True):
        shown = escape(message)
        if fields is not None:
            shown = f"{shown}  {_DIM if colours else ''}{escape(fields)}{_NORMAL if colours else ''}"
        print(shown.replace(_FROM, _INVERSE).replace(_TO, _NORMAL))
