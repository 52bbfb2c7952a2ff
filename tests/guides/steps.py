"""What the five guides have one do, as data: commands, statements and settings in order, each with the guide's line.

Values are the guide's own, its passwords, addresses and interfaces included; `Substitution`s say what stands for them
in a run. What is left out, mended or not yet possible is listed beside the steps with the reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONTROLLER, COMPUTE = "controller", "compute"
OUTSIDE, GUEST = "outside", "guest"
"""In front of the cloud, and inside the server that the guide has made."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command as typed. `password` is what the guide enters where the command asks for one."""

    line: int
    host: str
    words: str
    password: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A command whose output the guide shows; `shows` are pieces of it that do not change from run to run, the columns
    of a table in the order of today's client. How many spaces stand between words does not count."""

    line: int
    host: str
    words: str
    shows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sql:
    """A statement for the database server, as its administrator."""

    line: int
    host: str
    statement: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One `key = value` of a configuration file."""

    line: int
    host: str
    file: str
    section: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that the guide names in a sentence, `wish`, and shows nobody typing; `words` carry it out."""

    line: int
    host: str
    wish: str
    words: str


Step = Command | Check | Sql | Setting | Operation


@dataclass(frozen=True, slots=True)
class Substitution:
    """`wanted` stands for the guide's `written` wherever it occurs in a step, in a run."""

    written: str
    wanted: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mended:
    """A typing error of the guide, in its lines `first` to `last`."""

    first: int
    last: int
    wrong: str
    right: str
    reason: str


@dataclass(frozen=True, slots=True)
class Excluded:
    """Lines that are no part of an installation here. `written` narrows it to the commands or keys that begin so."""

    first: int
    last: int
    reason: str
    written: str = ""


@dataclass(frozen=True, slots=True)
class NotYet:
    """Lines about a part that there is not yet."""

    first: int
    last: int
    part: str


@dataclass(frozen=True, slots=True)
class Instead:
    """In a run, `words` stand for the command of the guide's line; none: nothing is run."""

    line: int
    words: str
    reason: str


@dataclass(frozen=True, slots=True)
class Guide:
    """One guide. `sections_shown` is False where it prints settings without the section they stand in."""

    name: str
    file: str
    steps: Sequence[Step]
    substitutions: Sequence[Substitution]
    mended: Sequence[Mended] = ()
    excluded: Sequence[Excluded] = ()
    not_yet: Sequence[NotYet] = ()
    instead: Sequence[Instead] = ()
    sections_shown: bool = True
    prompted: bool = False
    """Every command stands behind a prompt."""


def commands(host: str, lines: Mapping[int, str]) -> list[Command]:
    return [Command(line, host, words) for line, words in lines.items()]


def statements(host: str, lines: Mapping[int, str]) -> list[Sql]:
    return [Sql(line, host, statement) for line, statement in lines.items()]


def settings(host: str, file: str, section: str, lines: Mapping[int, str]) -> list[Setting]:
    """`lines` are of the form `key = value`."""
    found = []
    for line, text in lines.items():
        key, _, value = text.partition("=")
        found.append(Setting(line, host, file, section, key.strip(), value.strip()))
    return found


def until(words: str, value: str) -> str:
    """Returns a command that waits until another one, `words`, prints a value: the client does not wait for each."""
    is_shown = f'[ "$({words})" = {value} ]'
    return f"for i in $(seq 60); do {is_shown} && break; sleep 1; done; {is_shown}"


def written(step: Step) -> str:
    """The step as the guide has it, on one line."""
    match step:
        case Setting():
            return f"{step.key} = {step.value}"
        case Sql():
            return step.statement
        case Operation():
            return step.wish
        case _:
            return step.words


def substitute(guide: Guide, step: Step) -> str:
    """The step on one line, with what stands for the guide's own addresses, names and files."""
    return substituted(guide, written(step))


def substituted(guide: Guide, text: str) -> str:
    for each in guide.substitutions:
        text = text.replace(each.written, each.wanted)
    return text
