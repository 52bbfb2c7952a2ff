"""`keystone-manage`, `glance-manage`, `placement-manage`, `nova-manage`, `neutron-db-manage`: what the guides run once.

Each reads the files its service reads. Every command is safe to repeat.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData

from kilonova.cli.daemons.files import read
from kilonova.cli.daemons.options import COMPUTE, IDENTITY, IMAGE, NETWORK, Options
from kilonova.cli.daemons.process import EX_CONFIG
from kilonova.cli.daemons.wiring import make_database, migrations_of
from kilonova.kit.config import ConfigError
from kilonova.kit.db.migrate import upgrade
from kilonova.kit.errors import ServiceUnavailable


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that name configuration files, and the others."""
    files: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word.partition("=")[0] in ("--config-file", "--config-dir"):
            files += [word] if "=" in word else [word, next(words, "")]
        else:
            rest.append(word)
    return files, rest


def _manage(
    program: str, project: str, options: Sequence[Options], commands: dict[str, Callable[[Any, Sequence[str]], None]]
) -> int:
    files, words = _split(sys.argv[1:])
    name = next(
        (each for each in sorted(commands, key=len, reverse=True) if words[: len(each.split())] == each.split()), None
    )
    if name is None:
        print(
            f"{program}: {' '.join(words) or 'no command'}: the commands are {', '.join(sorted(commands))}",
            file=sys.stderr,
        )
        return 2
    try:
        commands[name](read(program, project, options, files).config, words[len(name.split()) :])
    except ConfigError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EX_CONFIG
    except ServiceUnavailable as error:
        print(f"{program}: {error.message}", file=sys.stderr)
        return 1
    return 0


def _sync(service: str, metadata: MetaData) -> Callable[[Any, Sequence[str]], None]:
    def sync(config: Any, _words: Sequence[str]) -> None:
        upgrade(make_database(config, service, metadata), migrations_of(service))

    return sync


# --- keystone-manage --------------------------------------------------------------------------------------------------


def _set_up_keys(config: Any, _words: Sequence[str]) -> None:
    """The accounts that `--keystone-user` and `--keystone-group` name own the keys: run it as that user instead."""
    from kilonova.identity import fernet_keys

    fernet_keys.set_up(Path(config.fernet_tokens.key_repository))


def _nothing_to_set_up(_config: Any, _words: Sequence[str]) -> None:
    """credential_setup: no credentials are kept that a key would have to close."""


def _bootstrap(config: Any, words: Sequence[str]) -> None:
    from kilonova.identity import fernet_keys
    from kilonova.identity.bootstrap import Bootstrap, ServiceEntry, bootstrap
    from kilonova.identity.service import Identity
    from kilonova.identity.tables import metadata
    from kilonova.kit.bus import InProcessBus

    parser = argparse.ArgumentParser(prog="keystone-manage bootstrap")
    parser.add_argument("--bootstrap-password", required=True)
    parser.add_argument("--bootstrap-admin-url", default="")
    parser.add_argument("--bootstrap-internal-url", default="")
    parser.add_argument("--bootstrap-public-url", default="http://127.0.0.1:5000/v3/")
    parser.add_argument("--bootstrap-region-id", default="RegionOne")
    asked = parser.parse_args(list(words))
    database = make_database(config, "identity", metadata)
    identity = Identity(database, fernet_keys.load(Path(config.fernet_tokens.key_repository)), InProcessBus())
    url = asked.bootstrap_public_url.rstrip("/")
    entry = ServiceEntry("identity", "keystone", "Identity", url)
    wanted = Bootstrap(asked.bootstrap_region_id, asked.bootstrap_password, {}, [entry])

    async def run() -> None:
        await bootstrap(identity, wanted)
        await database.close()

    asyncio.run(run())


def keystone_manage() -> int:
    from kilonova.identity.tables import metadata

    commands = {
        "db_sync": _sync("identity", metadata),
        "fernet_setup": _set_up_keys,
        "credential_setup": _nothing_to_set_up,
        "bootstrap": _bootstrap,
    }
    return _manage("keystone-manage", "keystone", [IDENTITY], commands)


def glance_manage() -> int:
    from kilonova.image.tables import metadata

    return _manage("glance-manage", "glance", [IMAGE], {"db_sync": _sync("image", metadata)})


def placement_manage() -> int:
    from kilonova.placement.tables import metadata

    return _manage("placement-manage", "placement", [], {"db sync": _sync("placement", metadata)})


def nova_manage() -> int:
    from kilonova.compute.tables import metadata

    return _manage("nova-manage", "nova", [COMPUTE], {"db sync": _sync("compute", metadata)})


def neutron_db_manage() -> int:
    from kilonova.network.tables import metadata

    return _manage(
        "neutron-db-manage",
        "neutron",
        [NETWORK],
        {"upgrade head": _sync("network", metadata), "upgrade heads": _sync("network", metadata)},
    )
