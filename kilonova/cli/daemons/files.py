"""Reading a daemon's configuration files, and saying what is wrong in them by file and line.

Source: oslo.config's command line (`--config-file`, `--config-dir`, the default places in `/etc/<project>/`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oslo_config import cfg

from kilonova.cli.daemons.options import ANY_OF, COMMON, WITHOUT_EFFECT, Options
from kilonova.kit.config import ConfigError

_SECTION = re.compile(r"\[([^\]]+)\]\s*$")
_ENTRY = re.compile(r"([^=:\s][^=:]*?)\s*[=:]\s*(.*)$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a file that sets something."""

    file: str
    line: int
    group: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.group}.{self.name}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: [{self.group}] {self.name}"


@dataclass(frozen=True, slots=True)
class Read:
    """What the files say. `idle` are the entries without effect, with the reason."""

    config: Any
    files: tuple[str, ...]
    idle: tuple[tuple[Entry, str], ...]


def entries_of(path: Path) -> Iterator[Entry]:
    """Lines that begin with white space go on with the value before them."""
    group = "DEFAULT"
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(("#", ";")) or line[0].isspace():
            continue
        if section := _SECTION.match(line):
            group = section.group(1)
        elif entry := _ENTRY.match(line):
            yield Entry(str(path), number, group, entry.group(1).replace("-", "_"))


def read(program: str, project: str, options: Sequence[Options], arguments: Sequence[str]) -> Read:
    """Reads the files that `arguments` name, else those in `/etc/<project>/`. Raises ConfigError."""
    config = cfg.ConfigOpts()
    known = _register(config, [COMMON, *options])
    try:
        config(list(arguments), project=project, prog=program)
    except (cfg.Error, ValueError) as error:
        raise ConfigError(f"{program}: {error}") from error
    files = tuple(str(each) for each in [*config.config_file, *_directory_files(config.config_dir)])
    if not files:
        raise ConfigError(
            f"{program}: there is no configuration file: name one with --config-file, "
            f"or write /etc/{project}/{project}.conf"
        )
    idle = tuple(_idle_entries(files, known))
    for group, name in known.values():
        try:
            # Values are parsed when first read: read them all now, so that a bad one stops the start.
            getattr(config if group == "DEFAULT" else getattr(config, group), name)
        except (cfg.Error, ValueError) as error:
            raise ConfigError(f"{program}: {_place(files, group, name)}: {error}") from error
    return Read(config, files, idle)


def _register(config: Any, tables: Sequence[Options]) -> dict[str, tuple[str, str]]:
    """Every spelling that a file may hold → the group and name it is read by."""
    known: dict[str, tuple[str, str]] = {}
    for table in tables:
        for group, options in table.items():
            config.register_opts(options, group=None if group == "DEFAULT" else group)
            for option in options:
                known[f"{group}.{option.dest}"] = (group, option.dest)
                for old in option.deprecated_opts:
                    known[f"{old.group or group}.{old.name}"] = (group, option.dest)
    return known


def _directory_files(directories: Sequence[str] | None) -> list[Path]:
    return [path for each in directories or () for path in sorted(Path(each).glob("*.conf"))]


def _idle_entries(files: Sequence[str], known: Mapping[str, tuple[str, str]]) -> Iterator[tuple[Entry, str]]:
    unknown = []
    for entry in (entry for each in files for entry in entries_of(Path(each))):
        if entry.key in known:
            continue
        reason = WITHOUT_EFFECT.get(entry.key) or ANY_OF.get(entry.group)
        if reason is None:
            unknown.append(str(entry))
        else:
            yield entry, reason
    if unknown:
        raise ConfigError("options that do not exist: " + "; ".join(unknown))


def _place(files: Sequence[str], group: str, name: str) -> str:
    places = [str(entry) for each in files for entry in entries_of(Path(each)) if entry.key == f"{group}.{name}"]
    return places[-1] if places else f"[{group}] {name}"
