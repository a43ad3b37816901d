"""``tailrace completion bash|zsh|fish``: words for the shell's own completion."""

from __future__ import annotations

import argparse

_BASH = """_tailrace() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "{words}" -- "$word")); return; fi
    case ${{COMP_WORDS[1]}},$before in
{cases}
    esac
    compopt -o default 2>/dev/null
}}
complete -F _tailrace tailrace
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the shell."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="for which shell")
    parser.epilog = 'For bash: eval "$(tailrace completion bash)"'


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from tailrace.cli import COMMANDS, options_of

    options = {name: options_of(name) for name in COMMANDS}
    if args.shell == "fish":
        print("complete -c tailrace -f -n __fish_use_subcommand -a '" + " ".join(COMMANDS) + "'")
        for name, words in options.items():
            for word, choices in words.items():
                values = f" -x -a '{' '.join(choices)}'" if choices else ""
                print(f"complete -c tailrace -n '__fish_seen_subcommand_from {name}' -l {word.lstrip('-')}{values}")
        return 0
    cases = "\n".join(_case(name, words) for name, words in options.items())
    script = _BASH.format(words=" ".join(COMMANDS), cases=cases)
    print("autoload -U +X bashcompinit && bashcompinit\n" + script if args.shell == "zsh" else script, end="")
    return 0


def _case(name: str, options: dict[str, list[str]]) -> str:
    offers = [(f"{name},{word}", choices) for word, choices in options.items() if choices]
    offers.append((f"{name},*", list(options)))
    return "\n".join(
        f'        {when}) COMPREPLY=($(compgen -W "{" ".join(what)}" -- "$word"));;' for when, what in offers
    )
