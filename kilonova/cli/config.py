"""`kilonova config check` and `kilonova config sample`: the daemons' configuration files, looked at and explained."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kilonova.cli.parts.options import (
    BLOCK_STORAGE,
    COMMON,
    COMPUTE,
    IDENTITY,
    IMAGE,
    NETWORK,
    NETWORK_AGENT,
    PLACEMENT,
    SCHEDULING,
    Options,
)
from kilonova.kit.config import ConfigError


@dataclass(frozen=True, slots=True)
class Service:
    """What reads one set of files: a program of a project, whose `/etc/<project>/` it looks into."""

    program: str
    project: str
    tables: Sequence[Options]


SERVICES: Mapping[str, Service] = {
    "keystone": Service("keystone", "keystone", [IDENTITY]),
    "glance": Service("glance-api", "glance", [IMAGE]),
    "placement": Service("placement-api", "placement", [PLACEMENT]),
    "nova": Service("nova-api", "nova", [COMPUTE, SCHEDULING]),
    "nova-compute": Service("nova-compute", "nova", [COMPUTE]),
    "cinder": Service("cinder-api", "cinder", [BLOCK_STORAGE]),
    "neutron": Service("neutron-server", "neutron", [NETWORK]),
    **{
        name: Service(name, "neutron", [NETWORK_AGENT])
        for name in (
            "neutron-linuxbridge-agent",
            "neutron-dhcp-agent",
            "neutron-l3-agent",
            "neutron-metadata-agent",
        )
    },
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="check|sample", required=True)
    check = actions.add_parser("check", help="say what is wrong in a service's files, and what has no effect")
    check.add_argument("service", choices=sorted(SERVICES), nargs="?", help="none: all that this host has files of")
    check.add_argument("--config-file", action="append", default=[], metavar="PATH")
    check.add_argument("--config-dir", action="append", default=[], metavar="DIR")
    sample = actions.add_parser("sample", help="print a file with every option and its default")
    sample.add_argument("service", choices=sorted(SERVICES))


def run(arguments: argparse.Namespace) -> int:
    if arguments.action == "sample":
        print(render_sample([COMMON, *SERVICES[arguments.service].tables]))
        return 0
    words = [f"--config-file={each}" for each in arguments.config_file]
    words += [f"--config-dir={each}" for each in arguments.config_dir]
    if arguments.service is not None:
        _check(SERVICES[arguments.service], words)
        return 0
    if words:
        raise ConfigError(f"say whose files these are: {', '.join(sorted(SERVICES))}")
    return _check_host()


def _check_host() -> int:
    """Everything in this host's default places. Returns 1 when any of it is wrong."""
    from kilonova.cli.daemons.files import ETC, default_files

    wrong: list[str] = []
    looked_at: set[tuple[str, ...]] = set()
    for service in SERVICES.values():
        files = tuple(str(path) for path in default_files(service.program, service.project))
        # A daemon with no file of its own reads what another one was checked with.
        if not files or files in looked_at or not files[0].startswith(f"{ETC}/{service.project}/"):
            continue
        looked_at.add(files)
        try:
            _check(service, [])
        except ConfigError as error:
            wrong.append(str(error))
    if not looked_at:
        raise ConfigError(f"there is no configuration file of any service in {ETC}")
    for each in dict.fromkeys(wrong):
        print(each, file=sys.stderr)
    return 1 if wrong else 0


def _check(service: Service, words: Sequence[str]) -> None:
    """Prints what has no effect. Raises ConfigError with everything that is wrong."""
    from kilonova.cli.daemons.files import read

    found = read(service.program, service.project, service.tables, words)
    for entry, reason in found.idle:
        print(f"no effect  {entry}: {reason}")
    idle = "1 option has" if len(found.idle) == 1 else f"{len(found.idle)} options have"
    print(f"{', '.join(found.files)}: {idle} no effect, nothing is wrong")


def render_sample(tables: Sequence[Options]) -> str:
    """Groups in the order of their first mention, `[DEFAULT]` first; every option with its help, commented out."""
    merged: dict[str, list[str]] = {}
    for table in tables:
        for group, options in table.items():
            lines = merged.setdefault(group, [])
            for option in options:
                old = "".join(f", once [{each.group or group}] {each.name}" for each in option.deprecated_opts)
                default = "" if option.default is None else option.default
                shown = ",".join(map(str, default)) if isinstance(default, list) else default
                lines.append(f"# {option.help}{old}\n#{option.dest} = {'' if shown == {} else shown}".rstrip())
    return "\n\n".join(f"[{group}]\n" + "\n".join(lines) for group, lines in merged.items())
