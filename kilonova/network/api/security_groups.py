"""/v2.0/security-groups and /v2.0/security-group-rules."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.kit.db import Tx
from kilonova.network import security_groups
from kilonova.network.api.bodies import (
    STANDARD_FILTERS,
    Body,
    Listing,
    NetworkRequest,
    authorize_found,
    given,
    only_fields,
    owner,
    seen,
)
from kilonova.network.errors import (
    SecurityGroupDefaultAlreadyExists,
    SecurityGroupNotFound,
    SecurityGroupRuleNotFound,
)
from kilonova.network.tables import SecurityGroup, SecurityGroupRule
from kilonova.network.views.resources import rule_view, security_group_view

Name = Annotated[str, Meta(max_length=255)]


class NewGroup(Struct, forbid_unknown_fields=True):
    name: Name = ""
    description: Name = ""
    stateful: bool = True
    project_id: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET


class NewGroupBody(Struct, forbid_unknown_fields=True):
    security_group: NewGroup


class ChangedGroup(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    stateful: bool | UnsetType = UNSET


class ChangedGroupBody(Struct, forbid_unknown_fields=True):
    security_group: ChangedGroup


class NewRule(Struct, forbid_unknown_fields=True):
    security_group_id: str
    direction: str
    ethertype: str | None = "IPv4"
    protocol: str | int | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None
    remote_address_group_id: None = None
    description: Name | None = ""
    project_id: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET


class NewRuleBody(Struct, forbid_unknown_fields=True):
    security_group_rule: NewRule


GROUPS = Listing(
    "security-groups",
    {**STANDARD_FILTERS, "stateful": "stateful", "shared": "shared"},
    other=("tags",),
    booleans=("stateful", "shared"),
)
RULES = Listing(
    "security-group-rules",
    {
        **{name: column for name, column in STANDARD_FILTERS.items() if name != "name"},
        "security_group_id": "security_group_id",
        "direction": "direction",
        "ethertype": "ethertype",
        "protocol": "protocol",
        "port_range_min": "port_range_min",
        "port_range_max": "port_range_max",
        "remote_ip_prefix": "remote_ip_prefix",
        "remote_group_id": "remote_group_id",
    },
    integers=("revision_number", "port_range_min", "port_range_max"),
)


async def _view(tx: Tx, group: SecurityGroup) -> Body:
    return security_group_view(group, (await security_groups.rules_of(tx, [group.id]))[group.id])


async def create_group(request: NetworkRequest, body: NewGroupBody) -> Body:
    new, service = body.security_group, request.service
    project_id = owner(request, new)
    if new.name.lower() == "default":
        raise SecurityGroupDefaultAlreadyExists
    async with service.database.transaction() as tx:
        await security_groups.ensure_default(tx, service, project_id)
        group = security_groups.new_group(service, project_id, new.name, new.description, stateful=new.stateful)
        await security_groups.insert(tx, service, group)
        view = await _view(tx, group)
    return {"security_group": view}


async def list_groups(request: NetworkRequest) -> Body:
    """Makes the project's default group if it is not there yet: everybody who looks finds one."""
    request.authorize(rule="get_security_group")
    service = request.service
    async with service.database.transaction() as tx:
        if request.ctx.project_id:
            await security_groups.ensure_default(tx, service, request.ctx.project_id)
        found = await security_groups.list_seen(tx, GROUPS.filters(request), **seen(request))
        rules = await security_groups.rules_of(tx, [each.id for each in found])
    return GROUPS.answer(request, [security_group_view(each, rules[each.id]) for each in found])


async def fetch_group(tx: Tx, request: NetworkRequest, group_id: str) -> SecurityGroup:
    group = await security_groups.find(tx, group_id)
    visible = group.shared or group.project_id == request.ctx.project_id
    target = {"project_id": group.project_id, "shared": group.shared}
    authorize_found(request, target, visible, SecurityGroupNotFound(group_id))
    return group


async def show_group(request: NetworkRequest) -> Body:
    async with request.service.database.reading() as tx:
        view = await _view(tx, await fetch_group(tx, request, request.path["group_id"]))
    return {"security_group": only_fields(view, request.query.getlist("fields"))}


async def update_group(request: NetworkRequest, body: ChangedGroupBody) -> Body:
    async with request.service.database.transaction() as tx:
        group = await fetch_group(tx, request, request.path["group_id"])
        values = given(body.security_group)
        if group.default_of_project is not None and values.get("name", group.name) != group.name:
            raise SecurityGroupDefaultAlreadyExists
        group = await security_groups.change(tx, request.service, group, values)
        view = await _view(tx, group)
    return {"security_group": view}


async def delete_group(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        group = await fetch_group(tx, request, request.path["group_id"])
        await security_groups.delete(tx, group, is_admin=request.ctx.is_admin)
    await request.service.wake_agents()


async def create_rule(request: NetworkRequest, body: NewRuleBody) -> Body:
    new, service = body.security_group_rule, request.service
    async with service.database.transaction() as tx:
        group = await security_groups.find(tx, new.security_group_id)
        visible = group.project_id == request.ctx.project_id
        authorize_found(request, {"project_id": group.project_id}, visible, SecurityGroupNotFound(group.id))
        rule = security_groups.new_rule(service, group, given(new))
        security_groups.check_rule(rule)
        if rule.remote_group_id is not None:
            await security_groups.find(tx, rule.remote_group_id)
        await security_groups.insert_rule(tx, rule)
    await service.wake_agents()
    return {"security_group_rule": rule_view(rule)}


async def list_rules(request: NetworkRequest) -> Body:
    request.authorize(rule="get_security_group_rule")
    async with request.service.database.reading() as tx:
        found = await security_groups.list_rules(tx, RULES.filters(request), **seen(request))
    return RULES.answer(request, [rule_view(each) for each in found])


async def fetch_rule(tx: Tx, request: NetworkRequest) -> SecurityGroupRule:
    rule_id = request.path["rule_id"]
    rule = await security_groups.find_rule(tx, rule_id)
    visible = rule.project_id == request.ctx.project_id
    authorize_found(request, {"project_id": rule.project_id}, visible, SecurityGroupRuleNotFound(rule_id))
    return rule


async def show_rule(request: NetworkRequest) -> Body:
    async with request.service.database.reading() as tx:
        rule = await fetch_rule(tx, request)
    return {"security_group_rule": only_fields(rule_view(rule), request.query.getlist("fields"))}


async def delete_rule(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        await security_groups.delete_rule(tx, await fetch_rule(tx, request))
    await request.service.wake_agents()
