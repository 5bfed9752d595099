"""Shell completion, written from the argument parser. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# The kind of value that an option takes, by its metavar.
_KINDS = {
    "DIR": "directory", "site.yaml": "file", "FILE": "file", "CMD": "command",
    "INTERFACE": "interface", "NAME": "user",
}  # fmt: skip


@dataclass(frozen=True)
class Argument:
    """One argument of the parser: an option, or the positional one (``names`` is empty).

    ``value``: "" (takes none), choice, one of ``_KINDS`` or other.
    """

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    value: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False
    repeats: bool = False


def arguments(parser: argparse.ArgumentParser) -> Iterator[Argument]:
    """Return all arguments that the help shows, in its order."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if action.help == argparse.SUPPRESS:
            continue
        takes = action.nargs != 0
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        text = parser._get_formatter()._expand_help(action)  # noqa: SLF001 - as above
        yield Argument(
            tuple(action.option_strings),
            text,
            metavar if takes else "",
            _value(metavar, action.choices is not None) if takes else "",
            tuple(map(str, action.choices or ())),
            action.nargs == "?",
            isinstance(action, argparse._AppendAction),  # noqa: SLF001 - as above
        )


def _value(metavar: str, has_choices: bool) -> str:  # noqa: FBT001 - one of two, both plain
    return "choice" if has_choices else _KINDS.get(metavar, "other")


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the completion script for ``bash``, ``zsh`` or ``fish``."""
    make = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]
    return make(parser.prog, list(arguments(parser)))


_BASH = """\
# bash completion for {prog}; source it, or keep it as
# /usr/share/bash-completion/completions/{prog}
{function}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
    COMPREPLY=()
    # readline takes '=' for a word of its own
    if [[ $cur == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]] && (( COMP_CWORD > 1 )); then
        prev=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    case $prev in
{cases}
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "{options}" -- "$cur"))
    else
        compopt -o filenames 2>/dev/null
        local IFS=$'\\n'
        COMPREPLY=($(compgen -d -- "$cur") $(compgen -f -X '!*.y*ml' -- "$cur"))
    fi
}}
complete -F {function} {prog}
"""
_BASH_VALUES = {
    "directory": 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur"))',
    "file": 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur"))',
    "command": 'COMPREPLY=($(compgen -c -- "$cur"))',
    "interface": 'COMPREPLY=($(compgen -W "$(command ls /sys/class/net)" -- "$cur"))',
    "user": 'COMPREPLY=($(compgen -u -- "$cur"))',
    "other": ":",
}


def _bash(prog: str, options: Sequence[Argument]) -> str:
    cases = []
    for one in options:
        if one.names and one.value:
            reply = f'COMPREPLY=($(compgen -W "{" ".join(one.choices)}" -- "$cur"))'
            reply = _BASH_VALUES.get(one.value, reply)
            leave = "[[ $cur == -* ]] || { " + reply + "; return; }" if one.optional else (
                reply + "; return")  # fmt: skip
            cases.append(f"        {'|'.join(one.names)}) {leave} ;;")
    names = " ".join(name for one in options for name in one.names)
    function = "_" + prog.replace("-", "_")
    return _BASH.format(prog=prog, function=function, cases="\n".join(cases), options=names)


_ZSH_VALUES = {
    "directory": "_directories",
    "file": '_files -g "*.y(a|)ml(-.)"',
    "command": "_command_names -e",
    "interface": "_net_interfaces",
    "user": "_users",
    "other": " ",
}


def _zsh(prog: str, options: Sequence[Argument]) -> str:
    specs = []
    for one in options:
        value = ""
        if one.value:
            action = f"({' '.join(one.choices)})" if one.choices else _ZSH_VALUES[one.value]
            metavar = one.metavar.replace(":", " ")
            value = f"{'::' if one.optional else ':'}{metavar}:{action}"
        if not one.names:
            specs.append(f"'1{value or ':' + one.metavar + ': '}'")
            continue
        text = one.help.replace("'", "'\\''").replace("[", "\\[").replace("]", "\\]")
        text = text.replace(":", "\\:")
        many = "*" if one.repeats else ""
        others = "" if one.repeats or len(one.names) == 1 else f"({' '.join(one.names)})"
        specs += [
            f"'{others}{many}{name}{'=' if value and name.startswith('--') else ''}[{text}]{value}'"
            for name in one.names
        ]
    body = " \\\n    ".join(specs)
    head = (
        f"#compdef {prog}\n# zsh completion for {prog}; keep it as _{prog} in a directory of $fpath"
    )
    return f"{head}\n_arguments -s \\\n    {body}\n"


_FISH_VALUES = {
    "directory": "-x -a '(__fish_complete_directories)'",
    "file": "-r -F",
    "command": "-x -a '(__fish_complete_command)'",
    "interface": "-x -a '(__fish_print_interfaces)'",
    "user": "-x -a '(__fish_complete_users)'",
    "other": "-x",
}


def _fish(prog: str, options: Sequence[Argument]) -> str:
    lines = [f"# fish completion for {prog}; keep it as {prog}.fish in its completions directory",
             f"complete -c {prog} -f",
             f"complete -c {prog} -k -a '(__fish_complete_suffix .yaml)'"]  # fmt: skip
    for one in options:
        if not one.names:
            continue
        names = " ".join(
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in one.names
        )
        value = ""
        if one.choices:
            value = f" -x -a '{' '.join(one.choices)}'"
        elif one.value and not one.optional:
            value = " " + _FISH_VALUES[one.value]
        text = one.help.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"complete -c {prog} {names}{value} -d '{text}'")
    return "\n".join(lines) + "\n"
