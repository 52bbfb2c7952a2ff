"""What of the client no table types: pure, from the tables and from what the client says it can be typed."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from tests.conformance.rows import Table

Commands = Mapping[str, list[list[str]]]
"""Command → its options, each with all its spellings."""


def command_of(words: list[str], commands: Iterable[str]) -> str:
    """The longest command that the words begin with, after global options; empty when they begin with none."""
    while words and words[0].startswith("--"):
        words = words[1 if "=" in words[0] else 2 :]
    known = set(commands)
    for count in range(len(words), 0, -1):
        if " ".join(words[:count]) in known:
            return " ".join(words[:count])
    return ""


def options_typed(tables: Sequence[Table], commands: Commands) -> dict[str, set[str]]:
    """Command → options that some row gives it."""
    typed: dict[str, set[str]] = {}
    for row in (row for table in tables for row in table.rows):
        words = shlex.split(row.command)
        options = {word.partition("=")[0] for word in words if word.startswith("-")}
        typed.setdefault(command_of(words, commands), set()).update(options)
    return typed


def untyped(tables: Sequence[Table], commands: Commands) -> list[str]:
    """Commands, and `command option`s, that no row types."""
    typed = options_typed(tables, commands)
    found = []
    for command, options in commands.items():
        if command not in typed:
            found.append(command)
            continue
        for spellings in options:
            if not typed[command].intersection(spellings):
                found.append(f"{command} {max(spellings, key=len)}")
    return found


def is_left_out(tables: Sequence[Table], named: str) -> bool:
    return any(fnmatchcase(named, pattern) for table in tables for pattern in table.left_out)


def unexplained(tables: Sequence[Table], commands: Commands) -> list[str]:
    """What no row types and for which no reason is given."""
    return [each for each in untyped(tables, commands) if not is_left_out(tables, each)]


def needless_reasons(tables: Sequence[Table], commands: Commands) -> list[str]:
    """Reasons for what the client does not know, or what rows type after all."""
    missing = untyped(tables, commands)
    patterns = (pattern for table in tables for pattern in table.left_out)
    return [pattern for pattern in patterns if not any(fnmatchcase(each, pattern) for each in missing)]
