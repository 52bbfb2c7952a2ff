"""/v2.0/security-groups and /v2.0/security-group-rules."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from kilonova.kit.db import Tx
from kilonova.kit.http.bounds import Id, Int32, Word
from kilonova.network import security_groups
from kilonova.network.api.bodies import (
    Body,
    NetworkRequest,
    created,
    is_cloud_admin,
    one_or_many,
    owner,
    viewer,
)
from kilonova.network.api.fields import MOST_AT_ONCE, Description, Fields, Flag, Name, ProjectId, Tags, given
from kilonova.network.api.resource import Resource
from kilonova.network.errors import (
    InvalidInput,
    SecurityGroupCannotUpdateDefault,
    SecurityGroupDefaultAlreadyExists,
    SecurityGroupNotFound,
)
from kilonova.network.tables import SecurityGroup, SecurityGroupRule
from kilonova.network.views.resources import rule_view, security_group_view

QUERY = security_groups.LISTING.query
RULES_QUERY = security_groups.RULES_LISTING.query


class NewGroup(Fields):
    name: Name = ""
    description: Description = ""
    stateful: Flag = True
    tags: Tags = []
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class NewGroupBody(Fields):
    security_group: NewGroup | UnsetType = UNSET
    security_groups: Annotated[list[NewGroup], Meta(max_length=MOST_AT_ONCE)] | UnsetType = UNSET


class ChangedGroup(Fields):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    stateful: Flag | UnsetType = UNSET


class ChangedGroupBody(Fields):
    security_group: ChangedGroup


class StatedRule(Fields):
    """The fields of what a rule says, whether of a group or of those to come."""

    direction: Word
    ethertype: Word | None = "IPv4"
    protocol: Word | Int32 | None = None
    port_range_min: Int32 | None = None
    port_range_max: Int32 | None = None
    remote_ip_prefix: Word | None = None
    remote_address_group_id: None = None
    description: Description | None = ""


class NewRule(StatedRule, kw_only=True):
    security_group_id: Id
    remote_group_id: Id | None = None
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class NewRuleBody(Fields):
    security_group_rule: NewRule | UnsetType = UNSET
    security_group_rules: Annotated[list[NewRule], Meta(max_length=MOST_AT_ONCE)] | UnsetType = UNSET


async def _views(tx: Tx, _request: NetworkRequest, found: list[SecurityGroup]) -> list[Body]:
    rules = await security_groups.rules_of(tx, [each.id for each in found])
    return [security_group_view(each, rules[each.id]) for each in found]


async def _target(_tx: Tx, _request: NetworkRequest, group: SecurityGroup) -> Body:
    return {"project_id": group.project_id, "shared": group.shared}


GROUPS = Resource(
    "security_group",
    "security-groups",
    "group_id",
    security_groups.VISIBILITY,
    security_groups.LISTING,
    _views,
    _target,
)


async def create_group(request: NetworkRequest, body: NewGroupBody) -> Body:
    wanted = one_or_many(body.security_group, body.security_groups, "security_group")
    async with request.service.database.transaction() as tx:
        views = await _views(tx, request, [await _create_group(tx, request, new) for new in wanted])
    return created("security_group", views, body.security_groups)


async def _create_group(tx: Tx, request: NetworkRequest, new: NewGroup) -> SecurityGroup:
    service, project_id = request.service, owner(request, new)
    if new.name.lower() == "default":
        raise SecurityGroupDefaultAlreadyExists
    return await security_groups.create(tx, service, project_id, given(new))


async def list_groups(request: NetworkRequest) -> Body:
    """Makes the project's default group if it is not there yet: everybody who looks finds one."""
    request.authorize(rule="get_security_group")
    service, project_id = request.service, request.ctx.project_id
    async with service.database.reading() as tx:
        lacks_default = project_id is not None and not await security_groups.has_default(tx, project_id)
    if project_id is not None and lacks_default:
        async with service.database.transaction() as tx:
            await security_groups.ensure_default(tx, service, project_id)
    return await GROUPS.list(request)


async def show_group(request: NetworkRequest) -> Body:
    return await GROUPS.show(request)


async def update_group(request: NetworkRequest, body: ChangedGroupBody) -> Body:
    async with request.service.database.transaction() as tx:
        group = await GROUPS.fetch_to_change(tx, request)
        values = given(body.security_group)
        if "stateful" in values and group.stateful:
            security_groups.refuse_stateless(values["stateful"])
        name = values.get("name", group.name)
        if group.default_of_project is not None and name != group.name:
            raise SecurityGroupCannotUpdateDefault
        if group.default_of_project is None and name.lower() == "default":
            raise SecurityGroupDefaultAlreadyExists
        return await GROUPS.body(tx, request, await security_groups.change(tx, request.service, group, values))


async def delete_group(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        group = await GROUPS.fetch_to_change(tx, request)
        await security_groups.delete(tx, group, is_admin=is_cloud_admin(request))


async def create_rule(request: NetworkRequest, body: NewRuleBody) -> Body:
    wanted = one_or_many(body.security_group_rule, body.security_group_rules, "security_group_rule")
    async with request.service.database.transaction() as tx:
        made = [await _new_rule(tx, request, new) for new in wanted]
        security_groups.refuse_repeated(made)
        for rule in made:
            await security_groups.insert_rule(tx, rule)
        views = await _rule_views(tx, request, made)
    return created("security_group_rule", views, body.security_group_rules)


async def _new_rule(tx: Tx, request: NetworkRequest, new: NewRule) -> SecurityGroupRule:
    group = await security_groups.find(tx, new.security_group_id)
    if group.project_id != request.ctx.project_id and not is_cloud_admin(request):
        raise SecurityGroupNotFound(group.id)
    request.authorize({"project_id": group.project_id})
    rule = security_groups.new_rule(request.service, group, given(new))
    _check_project(request, new, group)
    if new.remote_group_id is not None:
        await security_groups.VISIBILITY.find(tx, viewer(request), new.remote_group_id)
    return rule


def _check_project(request: NetworkRequest, new: NewRule, group: SecurityGroup) -> None:
    """Raises Forbidden or InvalidInput when a rule is to be another project's than its group."""
    if new.project_id is UNSET and new.tenant_id is UNSET:
        return
    if owner(request, new) != group.project_id:
        raise InvalidInput(f"A rule belongs to the project of its security group, {group.project_id}.")


async def _rule_views(tx: Tx, _request: NetworkRequest, found: list[SecurityGroupRule]) -> list[Body]:
    defaults = await security_groups.default_ids(tx, sorted({each.security_group_id for each in found}))
    return [rule_view(each, is_default=each.security_group_id in defaults) for each in found]


RULES = Resource(
    "security_group_rule",
    "security-group-rules",
    "rule_id",
    security_groups.RULE_VISIBILITY,
    security_groups.RULES_LISTING,
    _rule_views,
)


async def list_rules(request: NetworkRequest) -> Body:
    return await RULES.list(request)


async def show_rule(request: NetworkRequest) -> Body:
    return await RULES.show(request)


async def delete_rule(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        rule = await RULES.fetch_to_change(tx, request)
        await security_groups.delete_rule(tx, rule)
