"""What the fields of network's bodies may hold: the types that several bodies share, each with its bounds.

A list or a DNS name may be longer here than its resource may have: what is above that limit, but not by far, is
refused by the domain, in the words clients know.
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.kit.http.bounds import FREE, Id, Word
from kilonova.kit.http.queries import FALSE, TRUE

MOST_AT_ONCE = 100
"""Resources that one request creates; they are made in one transaction, for which everybody else waits."""
MOST_ENTRIES = 128
"""Of the lists that a resource holds; all but routes and pools have a lower limit of their own."""
MOST_ROUTES = 1000
"""Of a router: its quota is what bounds them, which administrators raise."""

Name = Annotated[str, Meta(max_length=255)]
Description = Annotated[str, Meta(max_length=255)]
DnsName = Annotated[str, Meta(max_length=512)]
Tags = Annotated[list[Annotated[str, Meta(max_length=255)]], Meta(max_length=50)]
ProjectId = Annotated[str, Meta(max_length=64)] | UnsetType
Ids = Annotated[list[Id], Meta(max_length=MOST_ENTRIES)]
Names = Annotated[list[Name], Meta(max_length=MOST_ENTRIES)]
Addresses = Annotated[list[Word], Meta(max_length=MOST_ENTRIES)]
Profile = Annotated[dict[str, Any], FREE]
"""Whatever a hypervisor's driver and the network service have to tell each other of a port."""

_SPELLED_BOOLEAN = Meta(max_length=5, pattern=rf"^(?i:{'|'.join((*TRUE, *FALSE))})\Z")

if TYPE_CHECKING:
    Flag = bool
    """A boolean, which may come as one of the words that upstream takes for it: `yes`, `off`, `1` …"""
else:
    Flag = bool | Annotated[str, _SPELLED_BOOLEAN]


class Fields(Struct, forbid_unknown_fields=True):
    """The fields of one resource, or of a part of one. Booleans that came as words are booleans in it."""

    def __post_init__(self) -> None:
        for name in _flags(type(self)):
            value = getattr(self, name)
            if isinstance(value, str):
                setattr(self, name, value.lower() in TRUE)


@functools.cache
def _flags(fields: type[Fields]) -> tuple[str, ...]:
    return tuple(each.name for each in msgspec.structs.fields(fields) if _is_flag(each.type))


def _is_flag(of_field: Any) -> bool:
    return any(_SPELLED_BOOLEAN in get_args(each) for each in get_args(of_field))


class FixedIp(Fields):
    """One address of a port: the address itself, or the subnet to take one from, or both."""

    subnet_id: Id | UnsetType = UNSET
    ip_address: Word | UnsetType = UNSET


class AddressPair(Fields):
    ip_address: Word
    mac_address: Word | UnsetType = UNSET


class DhcpOption(Fields):
    opt_name: Annotated[str, Meta(min_length=1, max_length=64)]
    opt_value: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    """None takes the option away."""
    ip_version: Literal[4, 6] = 4


class Pool(Fields):
    start: Word
    end: Word


class Destination(Fields):
    """A route: of a subnet's hosts, or of a router."""

    destination: Word
    nexthop: Word


FixedIps = Annotated[list[FixedIp], Meta(max_length=MOST_ENTRIES)]
AddressPairs = Annotated[list[AddressPair], Meta(max_length=MOST_ENTRIES)]
DhcpOptions = Annotated[list[DhcpOption], Meta(max_length=MOST_ENTRIES)]
Pools = Annotated[list[Pool], Meta(max_length=MOST_ENTRIES)]
HostRoutes = Annotated[list[Destination], Meta(max_length=MOST_ENTRIES)]
Routes = Annotated[list[Destination], Meta(max_length=MOST_ROUTES)]


def given(fields: Struct, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields that were in the body, by our names."""
    values = {name: getattr(fields, name) for name in fields.__struct_fields__ if name not in without}
    return {name: value for name, value in values.items() if value is not UNSET}


EntryT = TypeVar("EntryT", bound=Fields)


def entries(wanted: Sequence[EntryT] | None | UnsetType) -> list[dict[str, Any]]:
    """A list's entries as the domain takes them; no list is an empty one."""
    return [given(each) for each in wanted or ()]


def fixed_ips(wanted: Sequence[FixedIp] | None | UnsetType) -> list[dict[str, Any]] | None:
    """Like `entries`; None when none were named, which is different from naming none."""
    return None if wanted is UNSET else entries(wanted)
