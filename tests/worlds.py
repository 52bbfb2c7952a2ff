"""The cloud that tests run in: parts of `kilonova up`, built as it builds them, on a test's own databases."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData

from kilonova.cli.grounds.ground import Schema
from kilonova.cli.grounds.one_process import OneProcess
from kilonova.cli.parts import (
    block_storage,
    compute,
    compute_agent,
    consoles,
    identity,
    image,
    network,
    network_agents,
    placement,
)
from kilonova.cli.parts.options import COMMON, backend_sections
from kilonova.cli.parts.part import Part
from kilonova.cli.settings import read_defaults
from kilonova.compute.service import Region
from kilonova.kit.agents import AgentCalls, Liveness
from kilonova.kit.bus import Bus
from kilonova.kit.db import Database
from kilonova.kit.http.client import ServiceSession
from kilonova.kit.http.edge import Authenticator
from tests.databases import Databases

__all__ = ["CloudInProcess", "compute", "compute_agent", "consoles", "identity", "image", "network", "network_agents"]
__all__ += ["block_storage", "placement"]

PATIENT_SECONDS = 1e9

MakeDatabase = Callable[[str, MetaData], Database]
"""(service, its tables) → its database at the newest schema"""


@dataclass(frozen=True)
class IdentityTemplate:
    """A bootstrapped identity service: its closed database, the directory of its keys, and everybody logged in."""

    database: Database
    fernet_keys: Path
    sessions: dict[tuple[str, str], ServiceSession] = field(default_factory=dict)
    """(user, project) → one that has a token."""


class Options(dict[str, Any]):
    """A part's options, read as those of oslo.config are: `config.NAME`, `config.GROUP.NAME`, `config["GROUP"]`.

    Reading the same defaults from oslo.config for each of thousands of tests would take a tenth of their time.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@functools.cache
def _defaults_of(part: Part) -> Options:
    return Options(
        (name, Options(value) if isinstance(value, dict) else value)
        for name, value in read_defaults([COMMON, *part.options]).items()
    )


@dataclass(kw_only=True)
class CloudInProcess(OneProcess):
    """`settings`: group → name → value, for every part. `authenticator` says who callers are, instead of identity."""

    make_database: MakeDatabase
    make_session: Callable[[str], ServiceSession]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    authenticator: Authenticator | None = None
    agent_timeout_seconds: float = 30.0
    leeway_seconds: float = 20.0
    """How long an agent that does not answer is alive."""
    host_names: Sequence[str] = ("controller",)

    @property
    def hosts(self) -> Sequence[str]:
        return self.host_names

    def config_of(self, part: Part) -> Any:
        config = Options(_defaults_of(part))
        for group, values in self.settings.items():
            if group == "DEFAULT":
                config.update(values)
            elif group in config:
                config[group] = Options({**config[group], **values})
        for group, options in backend_sections(config).items():
            config[group] = Options(dict.fromkeys(each.dest for each in options) | self.settings.get(group, {}))
        return config

    def open_database(self, schema: Schema) -> Database:
        return self.make_database(schema.service, schema.metadata)

    def session(self, user: str) -> ServiceSession:
        return self.make_session(user)

    def verifier(self, user: str) -> Authenticator:
        return self.authenticator or super().verifier(user)

    def agent_calls(self, bus: Bus, binary: str) -> AgentCalls:
        return AgentCalls(bus, binary, timeout_seconds=self.agent_timeout_seconds)

    def liveness(self, bus: Bus) -> Liveness:
        return Liveness(bus, self.clock, leeway_seconds=self.leeway_seconds)

    async def open_cells(self, region: Region) -> None:
        """Maps nothing: the stories about cells map their own."""

    async def add_all(self, *parts: Part) -> Mapping[str, Any]:
        """Builds parts; returns the services there are, by service type."""
        for part in parts:
            await self.add(part)
        return self.services


def cloud_in(directory: Path, databases: Databases, template: IdentityTemplate, **options: Any) -> CloudInProcess:
    """A cloud whose identity is a copy of a bootstrapped one, and whose other databases are empty."""

    def make_database(service: str, metadata: MetaData) -> Database:
        if service == "identity":
            return databases.copy(template.database, service, directory)
        return databases.migrated(service, metadata, directory)

    settings = {
        "fernet_tokens": {"key_repository": str(template.fernet_keys)},
        "glance_store": {"filesystem_store_datadir": str(directory / "images")},
        "DEFAULT": {"volume_driver": "fake"},
    }
    return CloudInProcess(make_database=make_database, settings=settings, **options)
