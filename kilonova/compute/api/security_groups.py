"""/os-security-groups and /os-security-group-rules, up to version 2.35: the network service's, in compute's words.

Source: Compute API reference, "Security groups" and "Rules for security group" (deprecated).
"""

from dataclasses import replace
from typing import Annotated, Any

from msgspec import Meta, Struct

from kilonova.compute.api.bodies import UUID, ComputeRequest, as_boolean, path_uuid
from kilonova.compute.api.listing import OFFSETS
from kilonova.compute.views.networking import rule_view, security_group_view
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Int32, Word
from kilonova.kit.http.lists import Listing, cut_among
from kilonova.kit.http.passing_on import passing_refusals_on
from kilonova.network.client import SecurityGroup

LISTING = Listing(
    dialect=replace(OFFSETS, default_limit=None, largest_limit=None), others=dict.fromkeys(("all_tenants",))
)
QUERY = LISTING.query

Text = Annotated[str, Meta(max_length=255)]


class Group(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    description: Text = ""


class GroupBody(Struct, forbid_unknown_fields=True):
    security_group: Group


class NewRule(Struct, forbid_unknown_fields=True):
    parent_group_id: Word
    ip_protocol: Word | None = None
    from_port: Int32 | None = None
    to_port: Int32 | None = None
    cidr: Word | None = None
    group_id: Word | None = None


class NewRuleBody(Struct, forbid_unknown_fields=True):
    security_group_rule: NewRule


async def list_groups(request: ComputeRequest) -> dict[str, Any]:
    """One's own project's; with `all_tenants` an administrator's are everybody's."""
    request.authorize()
    is_wide = as_boolean(request.query.get("all_tenants") or "0", "all_tenants") and request.ctx.is_admin
    filters = {} if is_wide else {"project_id": request.ctx.project_id}
    with passing_refusals_on():
        found = await request.service.network.list_security_groups(token=request.ctx.token, **filters)
    shown = cut_among(found, LISTING.read(request)).rows
    return {"security_groups": [security_group_view(each, found) for each in shown]}


async def _view(request: ComputeRequest, group: SecurityGroup) -> dict[str, Any]:
    """The names of the groups its rules let in are looked up where there are any."""
    network, ids = (
        request.service.network,
        {each.remote_group_id for each in group.security_group_rules if each.remote_group_id},
    )
    known = await network.list_security_groups(token=request.ctx.token, id=sorted(ids)) if ids else []
    return {"security_group": security_group_view(group, known)}


async def create_group(request: ComputeRequest, body: GroupBody) -> dict[str, Any]:
    request.authorize()
    wanted = {"name": body.security_group.name, "description": body.security_group.description}
    with passing_refusals_on():
        return await _view(request, await request.service.network.create_security_group(wanted, request.ctx.token))


async def show_group(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    with passing_refusals_on():
        group = await request.service.network.show_security_group(path_uuid(request, "group_id"), request.ctx.token)
        return await _view(request, group)


async def update_group(request: ComputeRequest, body: GroupBody) -> dict[str, Any]:
    request.authorize()
    wanted = {"name": body.security_group.name, "description": body.security_group.description}
    group_id, network = path_uuid(request, "group_id"), request.service.network
    with passing_refusals_on():
        return await _view(request, await network.update_security_group(group_id, wanted, request.ctx.token))


async def delete_group(request: ComputeRequest) -> None:
    request.authorize()
    with passing_refusals_on():
        await request.service.network.delete_security_group(path_uuid(request, "group_id"), request.ctx.token)


async def create_rule(request: ComputeRequest, body: NewRuleBody) -> dict[str, Any]:
    """Lets in what comes from a range of addresses, everywhere by default, or from the members of a group."""
    request.authorize()
    new, network, token = body.security_group_rule, request.service.network, request.ctx.token
    for name, value in (("parent_group_id", new.parent_group_id), ("group_id", new.group_id)):
        if value is not None and not UUID.fullmatch(value):
            raise BadRequest(f"{name} is the UUID of a security group, got {value!r}.")
    if new.group_id is not None and new.cidr is not None:
        raise BadRequest("A rule has a cidr or a group_id, not both.")
    prefix = None if new.group_id is not None else new.cidr or "0.0.0.0/0"
    wanted = {
        "security_group_id": new.parent_group_id,
        "direction": "ingress",
        "ethertype": "IPv6" if prefix is not None and ":" in prefix else "IPv4",
        "protocol": new.ip_protocol.lower() if new.ip_protocol else None,
        "port_range_min": None if new.from_port == -1 else new.from_port,
        "port_range_max": None if new.to_port == -1 else new.to_port,
        "remote_ip_prefix": prefix,
        "remote_group_id": new.group_id,
    }
    with passing_refusals_on():
        rule = await network.create_security_group_rule(wanted, token)
        peer = None if new.group_id is None else await network.show_security_group(new.group_id, token)
    return {"security_group_rule": rule_view(rule, {} if peer is None else {peer.id: peer.name})}


async def delete_rule(request: ComputeRequest) -> None:
    request.authorize()
    with passing_refusals_on():
        await request.service.network.delete_security_group_rule(path_uuid(request, "rule_id"), request.ctx.token)
