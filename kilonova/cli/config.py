"""`kilonova config check` and `kilonova config sample`: the daemons' configuration files, looked at and explained."""

import argparse
from collections.abc import Sequence

from kilonova.cli.daemons.options import COMMON, COMPUTE, IDENTITY, IMAGE, NETWORK, NETWORK_AGENT, Options

SERVICES: dict[str, tuple[str, Sequence[Options]]] = {
    "keystone": ("keystone", [IDENTITY]),
    "glance": ("glance", [IMAGE]),
    "placement": ("placement", []),
    "nova": ("nova", [COMPUTE]),
    "neutron": ("neutron", [NETWORK]),
    "neutron-agent": ("neutron", [NETWORK_AGENT]),
}
"""Name → project, whose `/etc/<project>/` is looked into, and what its files may hold."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="check|sample", required=True)
    check = actions.add_parser("check", help="say what is wrong in a service's files, and what has no effect")
    check.add_argument("service", choices=sorted(SERVICES))
    check.add_argument("--config-file", action="append", default=[], metavar="PATH")
    check.add_argument("--config-dir", action="append", default=[], metavar="DIR")
    sample = actions.add_parser("sample", help="print a file with every option and its default")
    sample.add_argument("service", choices=sorted(SERVICES))


def run(arguments: argparse.Namespace) -> int:
    project, tables = SERVICES[arguments.service]
    if arguments.action == "sample":
        print(render_sample([COMMON, *tables]))
        return 0
    return _check(arguments, project, tables)


def _check(arguments: argparse.Namespace, project: str, tables: Sequence[Options]) -> int:
    from kilonova.cli.daemons.files import read

    words = [f"--config-file={each}" for each in arguments.config_file]
    words += [f"--config-dir={each}" for each in arguments.config_dir]
    found = read(arguments.service, project, tables, words)
    for entry, reason in found.idle:
        print(f"no effect  {entry}: {reason}")
    idle = "1 option has" if len(found.idle) == 1 else f"{len(found.idle)} options have"
    print(f"{', '.join(found.files)}: {idle} no effect, nothing is wrong")
    return 0


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
