"""Reads the operator's additions to the host's resource providers: the files of [compute] provider_config_location.

Source: compute admin guide, "Managing Resource Providers Using Config Files", schema 1.0. They are read once, at the
start; whatever is wrong in one stops it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from kilonova.compute.agent.spec import COMPUTE_NODE, AddedInventory, ProviderAddition
from kilonova.kit.config import ConfigError

MOST_LISTED = 1000
Custom = Annotated[str, Meta(pattern="^CUSTOM_[A-Z0-9_]{1,248}$", description="Only an operator's own names")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class _Meta(Struct, forbid_unknown_fields=True):
    schema_version: Literal["1.0"]


class _Identification(Struct, forbid_unknown_fields=True):
    uuid: Name | None = None
    name: Name | None = None


class _Inventories(Struct, forbid_unknown_fields=True):
    additional: Annotated[list[dict[Custom, AddedInventory]], Meta(max_length=MOST_LISTED)] = []


class _Traits(Struct, forbid_unknown_fields=True):
    additional: Annotated[list[Custom], Meta(max_length=MOST_LISTED)] = []


class _Provider(Struct, forbid_unknown_fields=True):
    identification: _Identification
    inventories: _Inventories | None = None
    traits: _Traits | None = None


class _File(Struct, forbid_unknown_fields=True):
    meta: _Meta
    providers: Annotated[list[_Provider], Meta(max_length=MOST_LISTED)] = []


def read_provider_files(directory: Path) -> tuple[ProviderAddition, ...]:
    """All `*.yaml` of the directory, in the order of their names; none where it is not there. Raises ConfigError."""
    found: dict[str, ProviderAddition] = {}
    for path in sorted(directory.glob("*.yaml")):
        for addition in _read(path):
            identity = addition.uuid or addition.name
            if identity in found:
                raise ConfigError(f"{path}: the provider {identity} is described a second time")
            found[identity] = addition
    return tuple(found.values())


def _read(path: Path) -> Iterator[ProviderAddition]:
    try:
        file = msgspec.yaml.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    for provider in file.providers:
        uuid, name = provider.identification.uuid, provider.identification.name
        if (uuid is None) == (name is None):
            raise ConfigError(f"{path}: a provider is identified by either uuid or name")
        if uuid not in (None, COMPUTE_NODE) and not _is_uuid(str(uuid)):
            raise ConfigError(f"{path}: uuid is {COMPUTE_NODE} or a UUID, got {uuid!r}")
        listed = provider.inventories.additional if provider.inventories else []
        inventories = dict(_once(path, (item for each in listed for item in each.items())))
        traits = tuple(provider.traits.additional) if provider.traits else ()
        yield ProviderAddition(uuid=uuid or "", name=name or "", inventories=inventories, traits=traits)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _once(path: Path, items: Iterable[tuple[str, AddedInventory]]) -> Iterator[tuple[str, AddedInventory]]:
    seen = set()
    for name, inventory in items:
        if name in seen:
            raise ConfigError(f"{path}: the inventory of {name} is given twice")
        seen.add(name)
        yield name, inventory
