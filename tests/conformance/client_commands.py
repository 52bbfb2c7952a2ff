"""Says what can be typed at the stock client: every command of its groups, with the options it takes.

Runs in the clients' environment, not in ours; the groups are its arguments. Standard output is JSON, command → list of
options, each with all its spellings. What formats output is cliff's, the same for every command, and left out.
"""

import argparse
import json
import sys
from types import SimpleNamespace
from typing import Any

from cliff.command import Command
from cliff.commandmanager import CommandManager
from cliff.lister import Lister
from cliff.show import ShowOne

APP = SimpleNamespace(
    client_manager=SimpleNamespace(is_network_endpoint_enabled=lambda: True, is_compute_endpoint_enabled=lambda: True)
)


def spellings_of(parser: argparse.ArgumentParser) -> list[list[str]]:
    return [
        list(action.option_strings)
        for action in parser._actions
        if action.option_strings and action.help != argparse.SUPPRESS
    ]


def formatting_options() -> set[str]:
    class Listing(Lister):
        def take_action(self, parsed_args: Any) -> Any:
            return (), ()

    class Showing(ShowOne):
        def take_action(self, parsed_args: Any) -> Any:
            return (), ()

    known: set[str] = set()
    for command in (Listing(APP, None), Showing(APP, None)):
        known.update(each for group in spellings_of(command.get_parser("")) for each in group)
    return known


def options_of(command: type[Command], formatting: set[str]) -> list[list[str]]:
    parser = command(APP, None).get_parser("")
    return [group for group in spellings_of(parser) if not formatting.intersection(group)]


def main() -> None:
    formatting = formatting_options()
    found = {}
    for group in sys.argv[1:]:
        manager = CommandManager(group)
        for name, entry_point in sorted(manager.commands.items()):
            found[name] = options_of(entry_point.load(), formatting)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
