"""Reading a daemon's configuration files, and saying what is wrong in them by file and line.

Source: oslo.config's command line (`--config-file`, `--config-dir`, the default places in `/etc/<project>/`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oslo_config import cfg

from kilonova.cli.daemons.without_effect import reason_for
from kilonova.cli.parts.options import COMMON, PROJECTS, Options, backend_sections
from kilonova.cli.parts.options.block_storage import idle_reason
from kilonova.kit.config import ConfigError

ETC = Path("/etc")
FILES_BESIDE: Mapping[str, Sequence[str]] = {
    "neutron-server": ("neutron/plugins/ml2/ml2_conf.ini",),
    "neutron-db-manage": ("neutron/plugins/ml2/ml2_conf.ini",),
    "neutron-linuxbridge-agent": ("neutron/plugins/ml2/linuxbridge_agent.ini",),
    "neutron-dhcp-agent": ("neutron/dhcp_agent.ini",),
    "neutron-l3-agent": ("neutron/l3_agent.ini",),
    "neutron-metadata-agent": ("neutron/metadata_agent.ini",),
    "glance-manage": ("glance/glance-api.conf",),
}
"""Program → what it reads after `/etc/<project>/<project>.conf`, where it is there and no file is named."""

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

    program: str
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


def default_files(program: str, project: str) -> list[Path]:
    """What a program reads when nothing is named: those of its places that are there."""
    names = [f"{project}/{project}.conf", f"{project}/{program}.conf", *FILES_BESIDE.get(program, ())]
    found = [ETC / name for name in dict.fromkeys(names) if (ETC / name).exists()]
    if not found and project == "placement" and (ETC / "nova/nova.conf").exists():
        return [ETC / "nova/nova.conf"]
    return found


def _default_directories(program: str, project: str) -> list[Path]:
    places = dict.fromkeys((f"{project}.conf.d", f"{program}.conf.d"))
    return [ETC / project / name for name in places if (ETC / project / name).is_dir()]


def read(program: str, project: str, options: Sequence[Options], arguments: Sequence[str]) -> Read:
    """Reads the files that `arguments` name, else those in `/etc/<project>/`.

    Raises ConfigError with everything that is wrong in them, by file and line.
    """
    config = cfg.ConfigOpts()
    known = _register(config, [COMMON, *options])
    try:
        config(
            list(arguments),
            project=project,
            prog=program,
            default_config_files=[str(path) for path in default_files(program, project)],
            default_config_dirs=[str(path) for path in _default_directories(program, project)],
        )
    except (cfg.Error, ValueError) as error:
        raise ConfigError(f"{program}: {error}") from error
    files = tuple(str(each) for each in [*config.config_file, *_directory_files(config.config_dir)])
    if not files:
        raise ConfigError(
            f"{program}: there is no configuration file: name one with --config-file, "
            f"or write {ETC}/{project}/{project}.conf"
        )
    entries = [entry for each in files for entry in entries_of(Path(each))]
    # Only the files say which sections are back ends.
    known |= _register(config, [backend_sections(config)])
    idle, unknown = _sort(entries, known, project)
    if project == "cinder":
        of_backends = list(_idle_backends(config, entries))
        idle += of_backends
        unknown = [entry for entry in unknown if entry not in [each for each, _reason in of_backends]]
    wrong = _bad_values(config, entries, known)
    if unknown:
        wrong.insert(0, "options that do not exist: " + "; ".join(map(str, unknown)))
    if wrong:
        raise ConfigError(f"{program}: " + "; ".join(wrong))
    return Read(program, config, files, tuple(idle))


def _register(config: Any, tables: Sequence[Options]) -> dict[str, tuple[str, str]]:
    """Registers every option and returns the spellings a file may hold, as `_spellings` does."""
    for table in tables:
        for group, options in table.items():
            config.register_opts(options, group=None if group == "DEFAULT" else group)
    return _spellings(tables)


def _spellings(tables: Sequence[Options]) -> dict[str, tuple[str, str]]:
    """Every spelling that a file may hold → the group and name it is read by."""
    known: dict[str, tuple[str, str]] = {}
    for table in tables:
        for group, options in table.items():
            for option in options:
                known[f"{group}.{option.dest}"] = (group, option.dest)
                for old in option.deprecated_opts:
                    known[f"{old.group or group}.{old.name}"] = (group, option.dest)
    return known


def _directory_files(directories: Sequence[str] | None) -> list[Path]:
    return [path for each in directories or () for path in sorted(Path(each).glob("*.conf"))]


def _sort(
    entries: Sequence[Entry], known: Mapping[str, tuple[str, str]], project: str
) -> tuple[list[tuple[Entry, str]], list[Entry]]:
    """Entries without effect, with the reason, and those that nothing knows. What a neighbour reads is neither."""
    others = _spellings(PROJECTS[project])
    idle, unknown = [], []
    for entry in entries:
        if entry.key in known or entry.key in others:
            continue
        reason = reason_for(project, entry.group, entry.name)
        if reason is None:
            unknown.append(entry)
        else:
            idle.append((entry, reason))
    return idle, unknown


def _idle_backends(config: Any, entries: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Yields the entries about back ends that are not read, with the reason."""
    with_drivers = {entry.group for entry in entries if entry.name == "volume_driver"}
    for entry in entries:
        reason = idle_reason(config, entry.group, entry.name, with_drivers)
        if reason is not None:
            yield entry, reason


def _bad_values(config: Any, entries: Sequence[Entry], known: Mapping[str, tuple[str, str]]) -> list[str]:
    """Values are parsed when first read: all are read now, so that a bad one stops the start."""
    wrong = []
    for group, name in dict.fromkeys(known.values()):
        try:
            getattr(config if group == "DEFAULT" else getattr(config, group), name)
        except (cfg.Error, ValueError) as error:
            places = [str(entry) for entry in entries if known.get(entry.key) == (group, name)]
            wrong.append(f"{places[-1] if places else f'[{group}] {name}'}: {error}")
    return wrong
