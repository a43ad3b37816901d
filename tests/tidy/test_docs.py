"""What is written about the program is true of it: generated pages are fresh, links lead somewhere, commands exist."""

import argparse
import importlib.util
import re
import shlex

import pytest

from tailrace.cli import COMMANDS, options_of
from tests.tidy.test_shape import ROOT

spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
assert spec
assert spec.loader
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)

PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_fresh(name):
    assert (generate.REFERENCE / name).read_text("utf-8") == generate.PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


def commands():
    """Yield the indented shell commands of all pages."""
    for page in PAGES:
        for line in re.findall(r"^    (.*\b(?:tailrace|make) .*)$", page.read_text("utf-8"), re.MULTILINE):
            yield pytest.param(line, id=f"{name_of(page)}: {line.strip()[:60]}")


@pytest.mark.parametrize("line", list(commands()))
def test_a_command_that_is_shown_can_be_typed(line):
    words = shlex.split(re.split(r"\s{3,}", line.strip())[0], comments=True)  # what it does may stand behind it
    for number, word in enumerate(words[:-1]):
        following = words[number + 1]
        if word.rpartition("/")[2] == "tailrace" and not following.startswith("-") and following.islower():
            assert following in COMMANDS
            options = {one.partition("=")[0] for one in words[number + 2 :] if one.startswith("--")}
            assert options <= {*options_of(following), "--help"}
        if word == "make" and following.isalpha():
            assert re.search(rf"^{following}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_make_help_lists_every_target_that_is_explained():
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony
    assert set(re.findall(r"^([a-z]+):", text, re.MULTILINE)) == set(phony[1].split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_is_for(command):
    parser = argparse.ArgumentParser()
    importlib.import_module(f"tailrace.cli.{command}").add_arguments(parser)
    for action in parser._actions:
        assert action.help, action
