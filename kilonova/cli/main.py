"""The `kilonova` command: `kilonova up`, `down`, `status`, `env`, `demo`.

Each subcommand is a module with `add_arguments(parser)` and `run(arguments) -> int`, imported only when it is used:
help and `env` answer at once.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COMMANDS = {
    "up": "start the cloud on this machine",
    "down": "stop what up started; servers go on running (--all: remove them too)",
    "status": "show the services, agents and servers",
    "trace": "print a server's whole way as a timed list",
    "why-not": "say where a server would go, and why nowhere else, without booting it",
    "drain": "give a host no more servers, and move those it has live to others",
    "restore": "take a drained host back, and move those back that have left it",
    "doctor": "check what people stumble over, and say how to mend it",
    "config": "check the configuration files of separate daemons, or print a sample",
    "env": "print export OS_… lines for the openstack command",
    "demo": "create the demo network, image, flavor, key and a first server",
}


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="kilonova", description="A private cloud that speaks OpenStack's APIs.")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in words if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        subparser.add_argument(
            "--state-dir",
            type=Path,
            metavar="DIR",
            help="where the cloud keeps its state (default: /var/lib/kilonova as root)",
        )
        if name == chosen:
            _module_of(name).add_arguments(subparser)
    parsed = parser.parse_args(words)
    module = _module_of(parsed.command)
    return _run(module, parsed)


def _module_of(command: str) -> Any:
    return importlib.import_module(f"kilonova.cli.{command.replace('-', '_')}")


def _run(module: object, parsed: argparse.Namespace) -> int:
    from kilonova.cli.state import StateError
    from kilonova.kit.config import ConfigError

    run = module.run  # type: ignore[attr-defined]
    try:
        code: int = run(parsed)
    except (StateError, ConfigError) as error:
        print(f"kilonova {parsed.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
