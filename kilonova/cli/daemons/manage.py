"""`keystone-manage`, `glance-manage`, `placement-manage`, `neutron-db-manage`: what the guides run once.

Each reads the files its service reads. Every command is safe to repeat, and one that comes too early says what to run
first.
"""

import argparse
import asyncio
import grp
import os
import pwd
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData

from kilonova.cli.daemons.files import Read, read
from kilonova.cli.daemons.not_ready import NotReady
from kilonova.cli.daemons.process import EX_CONFIG, EX_TEMPFAIL
from kilonova.cli.daemons.refusals import check_schema, find_revision, upgrade_schema
from kilonova.cli.daemons.schemas import make_database, migrations_of
from kilonova.cli.parts.options import BLOCK_STORAGE, IDENTITY, IMAGE, NETWORK, PLACEMENT, Options
from kilonova.kit.config import ConfigError
from kilonova.kit.db.migrate import head_revision
from kilonova.kit.errors import ServiceUnavailable

EX_USAGE = 2

Act = Callable[[Read, Sequence[str]], int | None]
"""What the files say and the words behind the command → the exit code; None is 0."""


def split_words(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that name configuration files, and the others without what only concerns the log."""
    files: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word.partition("=")[0] in ("--config-file", "--config-dir"):
            files += [word] if "=" in word else [word, next(words, "")]
        elif word not in ("--debug", "-d", "--nodebug", "--verbose", "-v") or rest:
            rest.append(word)
    return files, rest


def run_command(program: str, project: str, options: Sequence[Options], commands: Mapping[str, Act]) -> int:
    files, words = split_words(sys.argv[1:])
    name = next(
        (each for each in sorted(commands, key=len, reverse=True) if words[: len(each.split())] == each.split()), None
    )
    if name is None:
        print(
            f"{program}: {' '.join(words) or 'no command'}: the commands are {', '.join(sorted(commands))}",
            file=sys.stderr,
        )
        return EX_USAGE
    try:
        return commands[name](read(program, project, options, files), words[len(name.split()) :]) or 0
    except ConfigError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EX_CONFIG
    except NotReady as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EX_TEMPFAIL
    except ServiceUnavailable as error:
        print(f"{program}: {error.message}", file=sys.stderr)
        return 1


def no_more(command: str, words: Sequence[str], *allowed: str) -> None:
    """Raises ConfigError for words that mean nothing here."""
    for word in words:
        if word not in allowed:
            raise ConfigError(f"{command}: {word!r} is not understood" + (f": {', '.join(allowed)}" if allowed else ""))


# --- schemas ----------------------------------------------------------------------------------------------------------


def _sync(service: str, metadata: MetaData, done: str = "") -> Act:
    """Any of the ways to say it: the schema goes up in one step, so that a part of one is the whole."""

    def sync(found: Read, words: Sequence[str]) -> None:
        no_more("the command", words, "--expand", "--migrate", "--contract", "head", "heads")
        upgrade_schema(make_database(found.config, metadata), migrations_of(service), service)
        if done:
            print(done)

    return sync


def _version(service: str, metadata: MetaData) -> Act:
    def version(found: Read, words: Sequence[str]) -> None:
        no_more("the command", words)
        print(find_revision(make_database(found.config, metadata), service) or "none")

    return version


def _check(service: str, metadata: MetaData, sync_command: str) -> Act:
    """0 when there is nothing to do, 2 when the schema waits for an upgrade."""

    def check(found: Read, words: Sequence[str]) -> int:
        no_more("the command", words)
        database, migrations = make_database(found.config, metadata), migrations_of(service)
        revision, newest = find_revision(database, service), head_revision(migrations)
        if revision is None or revision < newest:
            print(f"The database is at {revision or 'nothing'}, this release needs {newest}: run `{sync_command}`.")
            return 2
        check_schema(database, migrations, service, sync_command)
        print("The database is up to date.")
        return 0

    return check


# --- keystone-manage --------------------------------------------------------------------------------------------------


def _set_up_keys(found: Read, words: Sequence[str]) -> None:
    from kilonova.identity import fernet_keys

    parser = argparse.ArgumentParser(prog="keystone-manage fernet_setup")
    parser.add_argument("--keystone-user", default="")
    parser.add_argument("--keystone-group", default="")
    asked = parser.parse_args(list(words))
    owner = _account(pwd.getpwnam, asked.keystone_user, "user").pw_uid if asked.keystone_user else -1
    group = _account(grp.getgrnam, asked.keystone_group, "group").gr_gid if asked.keystone_group else -1
    directory = Path(found.config.fernet_tokens.key_repository)
    try:
        fernet_keys.set_up(directory)
        for path in (directory, *directory.iterdir()):
            os.chown(path, owner, group)
    except OSError as error:
        raise ConfigError(f"[fernet_tokens] key_repository: {error}") from error


def _account(look_up: Callable[[str], Any], name: str, kind: str) -> Any:
    try:
        return look_up(name)
    except KeyError as error:
        raise ConfigError(f"--keystone-{kind}: this host has no {kind} {name!r}: make it first, or leave it out") from (
            error
        )


def _nothing_to_set_up(_found: Read, _words: Sequence[str]) -> None:
    """credential_setup: no credentials are kept that a key would have to close."""


def _bootstrap(found: Read, words: Sequence[str]) -> None:
    from kilonova.cli.grounds.files import FilesGround
    from kilonova.cli.parts.identity import open_identity
    from kilonova.identity.bootstrap import Bootstrap, ServiceEntry, bootstrap

    asked = _parse_bootstrap(words)
    urls = {
        name: url.rstrip("/")
        for name in ("public", "internal", "admin")
        if (url := getattr(asked, f"bootstrap_{name}_url"))
    }
    for name, url in urls.items():
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"--bootstrap-{name}-url: {url!r} is no URL: http://HOST:5000/v3/")
    public = next(iter(urls.values()), "http://127.0.0.1:5000/v3")
    entry = ServiceEntry("identity", "keystone", "Identity", public, urls)
    wanted = Bootstrap(asked.bootstrap_region_id, asked.bootstrap_password, {}, [entry])

    async def run() -> None:
        ground = FilesGround(found)
        async with ground.closing:
            await bootstrap(await open_identity(ground), wanted)

    asyncio.run(run())


def _parse_bootstrap(words: Sequence[str]) -> argparse.Namespace:
    """Options and their variables (OS_BOOTSTRAP_…) are upstream's. Raises ConfigError."""
    parser = argparse.ArgumentParser(prog="keystone-manage bootstrap")
    fixed = {"username": "admin", "project-name": "admin", "role-name": "admin", "service-name": "keystone"}
    for name, default in {
        "password": "",
        "admin-url": "",
        "internal-url": "",
        "public-url": "",
        "region-id": "RegionOne",
        **fixed,
    }.items():
        from_environment = os.environ.get(f"OS_BOOTSTRAP_{name.upper().replace('-', '_')}", default)
        parser.add_argument(f"--bootstrap-{name}", default=from_environment)
    for name in ("--immutable-roles", "--no-immutable-roles"):
        parser.add_argument(name, action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(list(words))
    if not asked.bootstrap_password:
        raise ConfigError("bootstrap: give the administrator's password: --bootstrap-password or OS_BOOTSTRAP_PASSWORD")
    for name, only in fixed.items():
        if getattr(asked, f"bootstrap_{name.replace('-', '_')}") != only:
            raise ConfigError(f"--bootstrap-{name}: the first one is always called {only}; others are made afterwards")
    return asked


def keystone_manage() -> int:
    from kilonova.identity.tables import metadata

    commands: dict[str, Act] = {
        "db_sync": _sync("identity", metadata),
        "db_sync --check": _check("identity", metadata, "keystone-manage db_sync"),
        "db_version": _version("identity", metadata),
        "fernet_setup": _set_up_keys,
        "credential_setup": _nothing_to_set_up,
        "bootstrap": _bootstrap,
    }
    return run_command("keystone-manage", "keystone", [IDENTITY], commands)


# --- the others -------------------------------------------------------------------------------------------------------


def glance_manage() -> int:
    from kilonova.image.tables import metadata

    sync = _sync("image", metadata, "Database is synced successfully.")
    commands: dict[str, Act] = {
        **dict.fromkeys(("db_sync", "db sync", "db_upgrade", "db upgrade", "db expand"), sync),
        **dict.fromkeys(("db_version", "db version"), _version("image", metadata)),
        "db check": _check("image", metadata, "glance-manage db_sync"),
    }
    return run_command("glance-manage", "glance", [IMAGE], commands)


def placement_manage() -> int:
    from kilonova.cli.daemons.schemas import name_placement_database
    from kilonova.placement.tables import metadata

    def named(act: Act) -> Act:
        return lambda found, words: act(replace(found, config=name_placement_database(found)), words)

    commands = {"db sync": named(_sync("placement", metadata)), "db version": named(_version("placement", metadata))}
    return run_command("placement-manage", "placement", [PLACEMENT], commands)


def cinder_manage() -> int:
    from kilonova.block_storage.tables import metadata

    commands = {"db sync": _sync("block_storage", metadata), "db version": _version("block_storage", metadata)}
    return run_command("cinder-manage", "cinder", [BLOCK_STORAGE], commands)


def neutron_db_manage() -> int:
    from kilonova.network.tables import metadata

    commands: dict[str, Act] = {
        "upgrade": _sync("network", metadata, "OK"),
        "current": _version("network", metadata),
    }
    return run_command("neutron-db-manage", "neutron", [NETWORK], commands)
